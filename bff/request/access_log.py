"""One line a request. No variables, no query string, no header but the request id: nothing personal."""

from collections.abc import Sequence
from typing import Any

from bff.request.exchange import Exchange, Response
from bff.runtime.log import Log

_log = Log("bff.access")
_LONGEST_NAME = 100
_LONGEST_PATH = 200


def log_request(exchange: Exchange, response: Response, duration_s: float, **more: Any) -> None:
    """A request to a variant."""
    if not _log.is_info_enabled:
        return
    operation = exchange.operation
    scope = exchange.scope
    _log.info(
        "request",
        method=scope["method"],
        path=scope["path"][:_LONGEST_PATH],
        variant=exchange.endpoint.variant.name,
        consumer=exchange.consumer.name if exchange.consumer else None,
        operation=operation.name[:_LONGEST_NAME] if operation and operation.name else None,
        type=operation.kind.value if operation else None,
        status=response.status,
        ms=round(duration_s * 1000, 2),
        request_id=exchange.request_id,
        upstream_calls=dict(exchange.calls),
        errors=list(response.codes),
        **more,
    )


def log_disconnect(exchange: Exchange, duration_s: float, outcome: str | None = None, codes: Sequence[str] = ()) -> None:
    """A request whose client disconnected before it was answered.

    `outcome` and `codes` are those of its mutations, which ran to their end; None and empty if it had none.
    """
    more = {} if outcome is None else {"completed": outcome}
    log_request(exchange, Response(499, (), b"", ("CLIENT_GONE", *codes)), duration_s, **more)


def log_refused(status: int, code: str) -> None:
    """What was refused before it was a request."""
    _log.info("request", status=int(status), errors=[code])


def log_other(method: str, path: str, status: int, duration_s: float, request_id: str) -> None:
    """Any other request."""
    if not _log.is_info_enabled:
        return
    _log.info(
        "request",
        method=method[:20],
        path=path[:_LONGEST_PATH],
        status=status,
        ms=round(duration_s * 1000, 2),
        request_id=request_id,
    )
