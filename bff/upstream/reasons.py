"""Why a call failed, in a few fixed words: for logs and metrics, never for clients."""

import re
import socket
import ssl
from collections.abc import Iterator

import msgspec

from bff.upstream.errors import BadAnswer, Mismatched, NotReached, NotSendable, SourceError, TimedOut
from bff.upstream.wire import AnswerTooLarge, BrokenAnswer, NotAttempted

_LONGEST_DETAIL = 200
_MOST_CAUSES = 10

# Of OpenSSL (X509_V_ERR_…).
_CERTIFICATES = {
    9: "tls_not_yet_valid",
    10: "tls_expired",
    18: "tls_unknown_authority",
    19: "tls_unknown_authority",
    20: "tls_unknown_authority",
    21: "tls_unknown_authority",
    62: "tls_other_host",
    64: "tls_other_host",
}

_PLACE = re.compile(r"^(.*?)(?: - at `(.*)`)?$", re.DOTALL)
_VALUE = re.compile(r"^Invalid (enum )?value.*", re.DOTALL)


def reason_of(error: SourceError) -> str:
    """The reason of a failed call. A status is its own reason."""
    if isinstance(error, TimedOut):
        return "timeout" if error.counts else "deadline"
    if isinstance(error, NotReached):
        return "connection_broken" if error.sent else _connect_reason(error)
    if isinstance(error, NotSendable):
        return "not_sendable"
    if isinstance(error, Mismatched):
        return "other_objects"
    if isinstance(error, BadAnswer) and error.status is None:
        return _body_reason(error)
    return "status" if error.answered else error.outcome


_CONNECT_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (NotAttempted, "resolver_full"),
    (socket.gaierror, "unknown_host"),
    (ssl.SSLCertVerificationError, "tls_certificate"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "connect_timeout"),
)
"""By kind of cause. The first that fits counts, so a kind stands before what it is derived from."""


def _connect_reason(error: BaseException) -> str:
    for cause in _causes(error):
        for kind, reason in _CONNECT_REASONS:
            if isinstance(cause, kind):
                return _CERTIFICATES.get(getattr(cause, "verify_code", 0), reason)
    return "unreachable"


def _body_reason(error: BadAnswer) -> str:
    for cause in _causes(error):
        if isinstance(cause, AnswerTooLarge):
            return "too_large"
        if isinstance(cause, BrokenAnswer):
            return "truncated"
        if isinstance(cause, msgspec.ValidationError):
            return "shape"
        if isinstance(cause, ValueError | RecursionError):
            return "not_json"
    return "content_type"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What an error was caused by, the nearest first."""
    cause = error.__cause__ or error.__context__
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def detail_of(error: SourceError) -> str:
    """What does not fit in a reply of another shape, as `$.items[3].price: Expected float, got str`; empty otherwise."""
    cause = error.__cause__
    return shape_fault(cause) if isinstance(cause, msgspec.ValidationError) else ""


def shape_fault(error: msgspec.ValidationError) -> str:
    """What does not fit, and where. Values, which may be personal, are left out."""
    found = _PLACE.match(str(error))
    text, place = (found[1], found[2]) if found else ("", None)
    text = _VALUE.sub("Expected another value", text).replace("`", "")
    return f"{place or '$'}: {text}"[:_LONGEST_DETAIL]
