"""What the gateway itself refuses, and how any error looks to a client.

GatewayError                                                 status
├── BadRequest                                               400, 404, 405, 406, 408, 413, 415, 431
├── CsrfPrevented                                            415
├── InvalidParameter                                         400
├── InvalidToken, InvalidApiKey, TokenNeeded                 401
├── RoleNeeded, VariantNotAllowed                            403
├── RateLimited                                              429
├── PersistedQueryNotFound, -NotSupported, OperationNotAllowed   200 or 400: well-formed, and can't be served
├── InvalidOperation, TooComplex                             the same
└── Draining, KeysUnavailable, TooManyConnections,            503
    TooManyDocuments

An error that is none of these, nor of `bff.graph.errors` or `bff.upstream.errors`, is a fault of the gateway: its message
is not shown.
"""

import traceback
from collections.abc import Iterable, Mapping
from math import ceil
from types import TracebackType
from typing import Any, ClassVar

from graphql import GraphQLError

from bff.graph.errors import GraphError
from bff.runtime.log import Log
from bff.upstream.errors import SourceError

Headers = tuple[tuple[bytes, bytes], ...]

INTERNAL = "INTERNAL_SERVER_ERROR"
_log = Log("bff.errors")


class GatewayError(Exception):
    """The root. `status` None means that the request was well-formed: the media type decides between 200 and 400."""

    code: ClassVar[str] = "BAD_REQUEST"

    def __init__(self, message: str, *, status: int | None = 400, headers: Headers = ()) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = headers

    @property
    def extensions(self) -> dict[str, Any]:
        """What a client's program can read."""
        return {"code": self.code}


class BadRequest(GatewayError):
    """The HTTP request itself can't be taken."""


class InvalidParameter(GatewayError):
    """A parameter of a trusted operation is not what it should be."""

    code = "BAD_USER_INPUT"


class CsrfPrevented(GatewayError):
    """A POST as a form on a foreign page could send it, without anybody's leave."""

    code = "CSRF_PREVENTION_FAILED"


class InvalidToken(GatewayError):
    """A token was sent and is not good: the request is refused whole, never taken for an anonymous one."""

    code = "UNAUTHENTICATED"

    def __init__(self, reason: str) -> None:
        # RFC 6750, section 3.1.
        challenge = f'Bearer error="invalid_token", error_description="{reason}"'
        super().__init__(f"The token is not valid: {reason}.", status=401, headers=_challenge(challenge))


class TokenNeeded(GatewayError):
    """Nothing here is for those who are not signed in."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("Sign in to use this graph.", status=401, headers=_challenge("Bearer"))


class RoleNeeded(GatewayError):
    """The token is good, and its bearer may not."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("This graph is not for you.", status=403)


class InvalidApiKey(GatewayError):
    """An API key was sent and is nobody's: refused whole, as a bad token is."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        # RFC 9110, section 11.6.1 wants a challenge; for keys in a header of their own there is no registered scheme.
        super().__init__("The API key is not valid.", status=401, headers=_challenge("ApiKey"))


class VariantNotAllowed(GatewayError):
    """The consumer's key is good, and not for this variant."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("This API key is not for this graph.", status=403)


class KeysUnavailable(GatewayError):
    """No token can be checked: the issuer's keys could not be had yet."""

    code = "SERVICE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("Tokens can't be checked just now.", status=503, headers=((b"retry-after", b"5"),))


class RateLimited(GatewayError):
    """A rate limit was exceeded: the limit named `policy` grants `quota` units in `window_s` seconds.

    `amount` is what the request needs of it. After `retry_after_s` seconds that much is available.
    """

    code = "RATE_LIMITED"

    def __init__(self, policy: str, quota: int, window_s: float, amount: float, retry_after_s: float) -> None:
        seconds = max(1, ceil(retry_after_s))
        self.retry_after = seconds
        message = (
            f"Rate limit {policy} exceeded: it allows {quota} in {ceil(window_s)} seconds, and this request needs "
            f"{amount:g} more. Try again in {seconds} seconds."
        )
        super().__init__(message, status=429, headers=((b"retry-after", b"%d" % seconds),))

    @property
    def extensions(self) -> dict[str, Any]:
        """With the seconds, for clients that can't see headers."""
        return {"code": self.code, "retryAfter": self.retry_after}


class PersistedQueryNotFound(GatewayError):
    """A document was named by its hash, and is not known: the client shall send it whole."""

    code = "PERSISTED_QUERY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound", status=None)  # the very word that Apollo's clients look for


class PersistedQueryNotSupported(GatewayError):
    """A document was named in a way that isn't known, or where no names are taken."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotSupported", status=None)


class OperationNotAllowed(GatewayError):
    """This graph only takes trusted documents, and this is none of them."""

    code = "OPERATION_NOT_ALLOWED"

    def __init__(self) -> None:
        super().__init__("Only known operations are allowed here.", status=None)


class InvalidOperation(GatewayError):
    """The document is fine, and has no operation that could be meant."""

    code = "BAD_USER_INPUT"

    def __init__(self, message: str) -> None:
        super().__init__(message, status=None)


class TooComplex(GatewayError):
    """A limit is passed: `what` says which one."""

    code = "QUERY_TOO_COMPLEX"

    def __init__(self, what: str, figure: int | str, limit: int) -> None:
        super().__init__(f"The document's {what}: {figure}, allowed are {limit}.", status=None)


class Draining(GatewayError):
    """The gateway is about to stop and takes nothing new."""

    code = "SERVICE_UNAVAILABLE"

    def __init__(self) -> None:
        headers = ((b"retry-after", b"1"), (b"connection", b"close"))
        super().__init__("The gateway is about to stop.", status=503, headers=headers)


class TooManyConnections(GatewayError):
    """This process has as many clients as it may have."""

    code = "SERVICE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("There are too many connections.", status=503)


class TooManyDocuments(GatewayError):
    """More new documents arrived than could be prepared before the deadline."""

    code = "SERVICE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("Too many new documents at once.", status=503, headers=((b"retry-after", b"1"),))


class DocumentError(Exception):
    """The document can't be parsed, or asks for what the graph hasn't got. Holds all that is wrong with it."""

    def __init__(self, code: str, errors: list[GraphQLError]) -> None:
        super().__init__(code)
        self.code = code
        self.errors = errors


def _challenge(value: str) -> Headers:
    return ((b"www-authenticate", value.encode("ascii")),)


def of_gateway(error: GatewayError) -> dict[str, Any]:
    """A refusal as an entry of `errors`."""
    return {"message": error.message, "extensions": error.extensions}


def of_document(error: GraphQLError, code: str) -> dict[str, Any]:
    """A fault of the document or its variables as an entry of `errors`: graphql-core's words name only what was sent."""
    return {**_position(error), "message": error.message, "extensions": {"code": code}}


def of_execution(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """An error raised while an operation ran, as an entry of `errors`; nothing inner gets through."""
    original = error.original_error
    extensions: dict[str, Any]
    if isinstance(original, SourceError):
        message = original.message
        extensions = {"code": original.code, "source": original.service}
        if original.retry_after is not None:
            extensions["retryAfter"] = max(1, ceil(original.retry_after))  # not a moment too early
    elif isinstance(original, GraphError):
        message, extensions = original.message, {"code": original.code}
    elif isinstance(original, GraphQLError | None) and error.message.startswith("Argument "):
        # graphql-core, of an argument whose variable was not given or has the wrong value.
        message, extensions = error.message, {"code": "BAD_USER_INPUT"}
    else:
        log_fault(original or error, request_id)
        message, extensions = "Internal server error.", {"code": INTERNAL}
    return {**_position(error), "message": message, "extensions": extensions}


def codes_of(told: Iterable[Mapping[str, Any]]) -> list[str]:
    """The codes of entries of `errors`, each once, in order."""
    return list(dict.fromkeys(error["extensions"]["code"] for error in told))


def _position(error: GraphQLError) -> dict[str, Any]:
    position: dict[str, Any] = {}
    if error.locations:
        position["locations"] = [{"line": location.line, "column": location.column} for location in error.locations]
    if error.path is not None:
        position["path"] = error.path
    return position


def internal() -> Mapping[str, Any]:
    """A fault of ours outside of any operation."""
    return {"message": "Internal server error.", "extensions": {"code": INTERNAL}}


def log_fault(error: BaseException, request_id: str) -> None:
    """Log a fault of ours: its kind and where it came up. Not its message, which may hold what somebody has sent."""
    frames = frames_of(error.__traceback__)
    _log.error("internal error", request_id=request_id, kind=type(error).__qualname__, frames=frames)


def frames_of(trace: TracebackType | None) -> list[str]:
    """The innermost twelve frames of a traceback, as `file:line function`, without values or source text."""
    # Not `traceback.extract_tb`, which reads the source files: that may block.
    return [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in traceback.walk_tb(trace)][-12:]
