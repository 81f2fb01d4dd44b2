"""The gateway's own refusals, and how a client sees any error.

GatewayError                                                 status
├── BadRequest                                               400, 404, 405, 406, 408, 413, 415, 431
├── CsrfPrevented                                            415
├── InvalidParameter                                         400
├── InvalidToken, InvalidApiKey, TokenNeeded                 401
├── RoleNeeded, VariantNotAllowed                            403
├── RateLimited                                              429
├── PersistedQueryNotFound, PersistedQueryNotSupported,      None: the request is well-formed, so the response's media
│   OperationNotAllowed, InvalidOperation, TooComplex        type decides between 200 and 400
└── Draining, KeysUnavailable, TooManyConnections,            503
    TooManyDocuments

`bff.graph.errors` has the errors of resolvers, `bff.upstream.errors` those of services. Any other exception is a fault of
the gateway: it is logged, and its message is not shown to clients.
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, ClassVar

from graphql import GraphQLError

from bff.graph.errors import GraphError
from bff.runtime.frames import frames_of
from bff.runtime.log import Log
from bff.upstream.errors import SourceError

Headers = tuple[tuple[bytes, bytes], ...]

INTERNAL = "INTERNAL_SERVER_ERROR"
_log = Log("bff.errors")


class GatewayError(Exception):
    """A request that the gateway refuses.

    Attributes:
        code: in `extensions.code`.
        message: for the client's developer.
        status: of HTTP; None if the request is well-formed. Then the response's media type decides between 200 and 400.
        headers: of the response.
    """

    code: ClassVar[str] = "BAD_REQUEST"

    def __init__(self, message: str, *, status: int | None = 400, headers: Headers = ()) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = headers

    @property
    def extensions(self) -> dict[str, Any]:
        """The `extensions` of the error: what a program can read."""
        return {"code": self.code}


class BadRequest(GatewayError):
    """The HTTP request is malformed, or its method, media type or size is not accepted."""


class InvalidParameter(GatewayError):
    """A parameter of a trusted operation is unknown or has an invalid value."""

    code = "BAD_USER_INPUT"


class CsrfPrevented(GatewayError):
    """A POST that a cross-site HTML form could send without a preflight."""

    code = "CSRF_PREVENTION_FAILED"


class InvalidToken(GatewayError):
    """The token is not valid. The request is refused, and not treated as an anonymous one."""

    code = "UNAUTHENTICATED"

    def __init__(self, reason: str) -> None:
        # RFC 6750, section 3.1.
        challenge = f'Bearer error="invalid_token", error_description="{reason}"'
        super().__init__(f"The token is not valid: {reason}.", status=401, headers=_challenge(challenge))


class TokenNeeded(GatewayError):
    """The variant needs a token, and there is none."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("Sign in to use this graph.", status=401, headers=_challenge("Bearer"))


class KeyNeeded(GatewayError):
    """An API key is needed, and there is none."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("Send an API key in X-API-Key.", status=401, headers=_challenge("ApiKey"))


class KeyOrTokenNeeded(GatewayError):
    """A token or an API key is needed, and there is neither."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        message = "Sign in, or send an API key in X-API-Key."
        super().__init__(message, status=401, headers=_challenge("Bearer, ApiKey"))


class RoleNeeded(GatewayError):
    """The token is valid, but has no role or permission for this variant."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("This graph is not for you.", status=403)


class InvalidApiKey(GatewayError):
    """The API key is unknown. The request is refused, and not treated as one without a key."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        # RFC 9110, section 11.6.1 requires a challenge. No scheme is registered for keys in a header of their own.
        super().__init__("The API key is not valid.", status=401, headers=_challenge("ApiKey"))


class VariantNotAllowed(GatewayError):
    """The API key is valid, but not for this variant."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("This API key is not for this graph.", status=403)


class KeysUnavailable(GatewayError):
    """No token can be checked yet: the issuer's keys could not be fetched."""

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
        """With `retryAfter` in seconds, for clients that can't read the header."""
        return {"code": self.code, "retryAfter": self.retry_after}


class PersistedQueryNotFound(GatewayError):
    """The document of this hash is not known. The client should send it with its text."""

    code = "PERSISTED_QUERY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound", status=None)  # Apollo's clients look for exactly this message


class PersistedQueryNotSupported(GatewayError):
    """The version of persisted queries is unknown, or this variant has none."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotSupported", status=None)


class OperationNotAllowed(GatewayError):
    """The variant takes trusted documents only, and this is none of them."""

    code = "OPERATION_NOT_ALLOWED"

    def __init__(self) -> None:
        super().__init__("Only known operations are allowed here.", status=None)


class InvalidOperation(GatewayError):
    """The document is valid, but which of its operations is meant can't be determined."""

    code = "BAD_USER_INPUT"

    def __init__(self, message: str) -> None:
        super().__init__(message, status=None)


class TooComplex(GatewayError):
    """The document or its variables exceed a limit: its name, the request's value, and the limit's."""

    code = "QUERY_TOO_COMPLEX"

    def __init__(self, what: str, figure: int | str, limit: int) -> None:
        super().__init__(f"The document's {what}: {figure}, allowed are {limit}.", status=None)


class Draining(GatewayError):
    """The gateway is stopping, and refuses new requests."""

    code = "SERVICE_UNAVAILABLE"

    def __init__(self) -> None:
        headers = ((b"retry-after", b"1"), (b"connection", b"close"))
        super().__init__("The gateway is stopping.", status=503, headers=headers)


class TooManyConnections(GatewayError):
    """The process has reached its limit of client connections."""

    code = "SERVICE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("There are too many connections.", status=503)


class TooManyDocuments(GatewayError):
    """Too many new documents are waiting to be prepared: this one could not be before the deadline."""

    code = "SERVICE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("Too many new documents at once.", status=503, headers=((b"retry-after", b"1"),))


class DocumentError(Exception):
    """The document has syntax errors, or is not valid for the schema. `errors` are all that were found."""

    def __init__(self, code: str, errors: list[GraphQLError]) -> None:
        super().__init__(code)
        self.code = code
        self.errors = errors


def _challenge(value: str) -> Headers:
    return ((b"www-authenticate", value.encode("ascii")),)


def of_gateway(error: GatewayError) -> dict[str, Any]:
    """A refusal as an entry of a response's `errors`."""
    return {"message": error.message, "extensions": error.extensions}


def of_document(error: GraphQLError, code: str) -> dict[str, Any]:
    """An error in a document or its variables as an entry of `errors`.

    graphql-core's message is shown: it quotes nothing but what the client sent.
    """
    return {**_position(error), "message": error.message, "extensions": {"code": code}}


def of_execution(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """An error of an operation's execution as an entry of `errors`.

    Only errors of services and of resolvers, which are written for clients, keep their message. Any other is logged.
    """
    original = error.original_error
    extensions: dict[str, Any]
    if isinstance(original, SourceError):
        message = original.message
        extensions = {"code": original.code, "source": original.service}
        if original.may_have_happened:
            message = f"{message} It is not known whether the change was made."
            extensions["outcome"] = "unknown"
        if original.retry_after is not None:
            extensions["retryAfter"] = max(1, ceil(original.retry_after))  # rounded up, so that no client retries too early
    elif isinstance(original, GraphError):
        message, extensions = original.message, {"code": original.code}
    elif isinstance(original, GraphQLError | None) and error.message.startswith("Argument "):
        # graphql-core raises it for an argument whose variable is missing or has an invalid value.
        message, extensions = error.message, {"code": "BAD_USER_INPUT"}
    else:
        log_fault(original or error, request_id)
        message, extensions = "Internal server error.", {"code": INTERNAL}
    return {**_position(error), "message": message, "extensions": extensions}


def codes_of(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """The codes of entries of `errors`, each once, in order."""
    return list(dict.fromkeys(entry["extensions"]["code"] for entry in entries))


def _position(error: GraphQLError) -> dict[str, Any]:
    position: dict[str, Any] = {}
    if error.locations:
        position["locations"] = [{"line": location.line, "column": location.column} for location in error.locations]
    if error.path is not None:
        position["path"] = error.path
    return position


def internal() -> Mapping[str, Any]:
    """The entry of `errors` for a fault of the gateway that has no place in a document."""
    return {"message": "Internal server error.", "extensions": {"code": INTERNAL}}


def log_fault(error: BaseException, request_id: str) -> None:
    """Log a fault of the gateway: its type and its frames. Not its message, which may contain a client's data."""
    frames = frames_of(error.__traceback__)
    _log.error("internal error", request_id=request_id, kind=type(error).__qualname__, frames=frames)
