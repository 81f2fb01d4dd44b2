"""The access log: one line per request. It has nothing personal: no variables, no query string, no header but the id."""

from typing import TYPE_CHECKING, Any

from bff.request.exchange import Exchange
from bff.request.http import ClientDisconnected
from bff.request.response import EncodedResponse
from bff.runtime.log import Log

if TYPE_CHECKING:
    from bff.engine.operation import Operation

_log = Log("bff.access")
_LONGEST_NAME = 100
_LONGEST_PATH = 200
_LONGEST_METHOD = 20


def log_request(exchange: Exchange, response: EncodedResponse, duration_s: float) -> None:
    """Log a request to a variant, with the response that was sent."""
    if _log.is_info_enabled:
        _log_exchange(exchange, response.status, response.codes, response.operation, duration_s, {})


def log_disconnect(exchange: Exchange, disconnected: ClientDisconnected, duration_s: float) -> None:
    """Log a request whose client disconnected before the response, with status 499.

    If it had mutations, which ran to their end, `completed` is their outcome.
    """
    if _log.is_info_enabled:
        more = {} if disconnected.outcome is None else {"completed": disconnected.outcome}
        codes = ("CLIENT_GONE", *disconnected.codes)
        _log_exchange(exchange, 499, codes, disconnected.operation, duration_s, more)


def _log_exchange(
    exchange: Exchange,
    status: int,
    codes: tuple[str, ...],
    operation: "Operation | None",
    duration_s: float,
    more: dict[str, Any],
) -> None:
    scope, consumer = exchange.scope, exchange.client.consumer
    _log.info(
        "request",
        method=scope["method"],
        path=scope["path"][:_LONGEST_PATH],
        variant=exchange.endpoint.variant.name,
        consumer=consumer.name if consumer else None,
        operation=operation.name[:_LONGEST_NAME] if operation and operation.name else None,
        type=operation.kind.value if operation else None,
        status=status,
        ms=round(duration_s * 1000, 2),
        request_id=exchange.request_id,
        upstream_calls=dict(exchange.calls),
        errors=list(codes),
        **more,
    )


def log_route(fields: dict[str, Any]) -> None:
    """Log a request to a route, once its exchange has ended. `path` and `method` are shortened."""
    if _log.is_info_enabled:
        short = {"path": fields["path"][:_LONGEST_PATH], "method": fields["method"][:_LONGEST_METHOD]}
        _log.info("request", **{**fields, **short})


def log_refused(status: int, code: str) -> None:
    """Log bytes that were refused before they made a request."""
    _log.info("request", status=int(status), errors=[code])


def log_other(method: str, path: str, status: int, duration_s: float, request_id: str) -> None:
    """Log a request to anything but a variant."""
    if not _log.is_info_enabled:
        return
    _log.info(
        "request",
        method=method[:_LONGEST_METHOD],
        path=path[:_LONGEST_PATH],
        status=status,
        ms=round(duration_s * 1000, 2),
        request_id=request_id,
    )
