"""One line a request. No variables, no query string, no header but the request id: nothing personal."""

import logging
from typing import Any

from bff.exchange import Exchange, Response

_log = logging.getLogger("bff.access")
_LONGEST_NAME = 100
_LONGEST_PATH = 200


def of_graphql(exchange: Exchange, response: Response, duration_s: float) -> None:
    """A request to a variant."""
    if not _log.isEnabledFor(logging.INFO):
        return
    operation = exchange.operation
    fields: dict[str, Any] = {
        "method": exchange.scope["method"],
        "path": exchange.scope["path"][:_LONGEST_PATH],
        "variant": exchange.endpoint.variant.name,
        "consumer": exchange.consumer.name if exchange.consumer else None,
        "operation": operation.name[:_LONGEST_NAME] if operation and operation.name else None,
        "type": operation.kind.value if operation else None,
        "status": response.status,
        "ms": round(duration_s * 1000, 2),
        "request_id": exchange.request_id,
        "upstream_calls": dict(exchange.calls),
        "errors": list(response.codes),
    }
    _log.info("request", extra={"fields": fields})


def of_gone(exchange: Exchange, duration_s: float) -> None:
    """A request whose client hung up before it could be answered."""
    of_graphql(exchange, Response(499, (), b"", ("CLIENT_GONE",)), duration_s)


def of_none(status: int, code: str) -> None:
    """What was refused before it was a request."""
    _log.info("request", extra={"fields": {"status": int(status), "errors": [code]}})


def of_other(method: str, path: str, status: int, duration_s: float, request_id: str) -> None:
    """Any other request."""
    if not _log.isEnabledFor(logging.INFO):
        return
    fields = {
        "method": method[:20],
        "path": path[:_LONGEST_PATH],
        "status": status,
        "ms": round(duration_s * 1000, 2),
        "request_id": request_id,
    }
    _log.info("request", extra={"fields": fields})
