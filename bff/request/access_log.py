"""The access log: one line per request. It has nothing personal: no variables, no query string, no header but the id.

Settings may add the client's address and a digest of the user's id.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from bff.request.exchange import Client, Exchange
from bff.request.http import ClientDisconnected
from bff.request.response import EncodedResponse
from bff.runtime.log import Log

if TYPE_CHECKING:
    from bff.engine.operation import Operation

_log = Log("bff.access")
_LONGEST_NAME = 100
_LONGEST_PATH = 200
_LONGEST_METHOD = 20


class Logged(Protocol):
    """A request, as the access log sees it."""

    client: Client

    @property
    def address(self) -> str:
        """The client's address."""
        ...

    @property
    def traceparent(self) -> str:
        """The trace that it belongs to (W3C Trace Context)."""
        ...


@dataclass(frozen=True, slots=True)
class FurtherFields:
    """Fields that are logged besides the usual ones.

    Attributes:
        names: `ip`, `response_length` (bytes of the body), `trace_id`, `user_id`.
        key: of the digests of users' ids.
    """

    names: tuple[str, ...] = ()
    key: bytes = field(default=b"", repr=False)

    def of(self, exchange: Logged, response_length: int) -> dict[str, Any]:
        """The fields of a request."""
        found: dict[str, Any] = {}
        for name in self.names:
            if name == "ip":
                found["ip"] = exchange.address
            elif name == "response_length":
                found["response_length"] = response_length
            elif name == "trace_id":
                found["trace_id"] = exchange.traceparent.split("-")[1]
            elif exchange.client.signed_in is not None:
                sub = exchange.client.signed_in.viewer.sub.encode("utf-8", "surrogatepass")
                found["user_id"] = blake2b(sub, digest_size=8, key=self.key).hexdigest()
        return found


NO_FURTHER_FIELDS = FurtherFields()


def log_request(
    exchange: Exchange, response: EncodedResponse, duration_s: float, further: FurtherFields = NO_FURTHER_FIELDS
) -> None:
    """Log a request to a variant, with the response that was sent."""
    if _log.is_info_enabled:
        more = further.of(exchange, len(response.body)) if further.names else {}
        _log_exchange(exchange, response.status, response.codes, response.operation, duration_s, more)


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


def log_route(
    visit: Logged, fields: dict[str, Any], response_length: int, further: FurtherFields = NO_FURTHER_FIELDS
) -> None:
    """Log a request to a route, once its exchange has ended. `path` and `method` are shortened."""
    if _log.is_info_enabled:
        fields |= further.of(visit, response_length)
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
