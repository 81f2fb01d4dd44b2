"""The access log: one line per request. It has nothing personal: no variables, no query string, no header but the id."""

import logging
from typing import TYPE_CHECKING, Any

from bff.observe import logs
from bff.request.exchange import Exchange
from bff.request.http import ClientDisconnected
from bff.request.response import EncodedResponse

if TYPE_CHECKING:
    from bff.engine.operation import Operation

_log = logging.getLogger("bff.access")
_LONGEST_NAME = 100
_LONGEST_PATH = 200
_LONGEST_METHOD = 20


def log_request(exchange: Exchange, response: EncodedResponse, duration_s: float) -> None:
    """Log a request to a variant, with the response that was sent."""
    if _log.isEnabledFor(logging.INFO):
        _log_exchange(exchange, response.status, response.codes, response.operation, duration_s, {})


def log_disconnect(exchange: Exchange, disconnected: ClientDisconnected, duration_s: float) -> None:
    """Log a request whose client disconnected before the response, with status 499.

    If it had mutations, which ran to their end, `completed` is their outcome.
    """
    if _log.isEnabledFor(logging.INFO):
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
    fields = {
        "method": scope["method"],
        "path": scope["path"][:_LONGEST_PATH],
        "variant": exchange.endpoint.variant.name,
        "consumer": consumer.name if consumer else None,
        "operation": operation.name[:_LONGEST_NAME] if operation and operation.name else None,
        "type": operation.kind.value if operation else None,
        "status": status,
        "ms": round(duration_s * 1000, 2),
        "request_id": exchange.request_id,
        "upstream_calls": dict(exchange.calls),
        "errors": list(codes),
        **more,
    }
    logs.write(_log, logging.INFO, "request", fields)


def log_refused(status: int, code: str) -> None:
    """Log bytes that were refused before they made a request."""
    logs.write(_log, logging.INFO, "request", {"status": int(status), "errors": [code]})


def log_other(method: str, path: str, status: int, duration_s: float, request_id: str) -> None:
    """Log a request to anything but a variant."""
    if not _log.isEnabledFor(logging.INFO):
        return
    fields = {
        "method": method[:_LONGEST_METHOD],
        "path": path[:_LONGEST_PATH],
        "status": status,
        "ms": round(duration_s * 1000, 2),
        "request_id": request_id,
    }
    logs.write(_log, logging.INFO, "request", fields)
