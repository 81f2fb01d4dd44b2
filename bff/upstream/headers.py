"""Which headers a source's calls carry besides the gateway's own, and which of its replies reach the client.

- *Static* headers are the same for every call: a service's own API key, for example.
- *Forwarded* headers are taken over from the client's request. They become part of every key by which replies are kept or
  shared, so that no reply reaches a client with other values.
- *Returned* headers of a reply are sent to the client. Off unless they are listed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MOST_FORWARDED = 16
LONGEST_FORWARDED = 1024
"""Characters of a forwarded value."""

_MOST_COOKIES = 20
_LONGEST_RETURNED = 4096
_SET_COOKIE = "set-cookie"
COOKIE_SEPARATOR = "\n"
"""Between the values of several `Set-Cookie` headers, which can't be joined by commas (RFC 6265, section 3)."""


def separator_of(name: str) -> str:
    """What joins the values of a header that is repeated. `name` is in lower case."""
    return COOKIE_SEPARATOR if name == _SET_COOKIE else ", "


_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?\Z")

_FRAMING = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Those of one connection or one message (RFC 9110, section 7.6.1)."""

_OWN = _FRAMING | {
    "accept",
    "accept-encoding",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "traceparent",
    "user-agent",
    "x-request-id",
    "x-request-timeout-ms",
    "x-user-id",
}
"""Those that the gateway sets itself."""

_NEVER_FORWARDED = _OWN | {"authorization", "cookie", "forwarded", "x-api-key", "x-real-ip"}
_NEVER_RETURNED = _FRAMING | {
    "cache-control",
    "content-security-policy",
    "content-type",
    "date",
    "etag",
    "location",
    "retry-after",
    "server",
    "strict-transport-security",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
}


def header_name(name: str) -> str:
    """A name in lower case. An underscore is a hyphen, which the names of variables can't have. Raises `ValueError`."""
    found = name.strip().lower().replace("_", "-")
    if not _NAME.match(found):
        raise ValueError("expected the name of a header")
    return found


def static_name(name: str) -> str:
    """The name of a static header. Raises `ValueError`."""
    found = header_name(name)
    if found in _OWN:
        raise ValueError(f"{found}: the gateway sets this header itself")
    return found


def forwarded_name(name: str) -> str:
    """The name of a forwarded header. Raises `ValueError`."""
    found = header_name(name)
    if found in _NEVER_FORWARDED or found.startswith("x-forwarded-"):
        raise ValueError(f"{found}: this header is never forwarded")
    return found


def returned_name(name: str) -> str:
    """The name of a returned header. Raises `ValueError`."""
    found = header_name(name)
    if found in _NEVER_RETURNED or found.startswith(("access-control-", "ratelimit")):
        raise ValueError(f"{found}: the gateway sets this header itself")
    return found


def is_value(text: str) -> bool:
    """Whether a text can be a header's value: visible ASCII, with blanks inside (RFC 9110, section 5.5)."""
    return _VALUE.match(text) is not None


class Credentials(Protocol):
    """A source's own identity, which changes while the gateway runs."""

    def authorization(self) -> str:
        """The value of `Authorization`. Raises `SourceError` if there is none at present."""
        ...

    async def renew(self, refused: str) -> None:
        """Get another one, since the service has refused this value. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """The rules of one source. Names are in lower case.

    Attributes:
        static: names and values.
        forwarded: names.
        returned: names.
        credentials: the source's own identity; None if it has none, or a static one.
    """

    static: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    forwarded: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    credentials: Credentials | None = None

    @property
    def has_own_identity(self) -> bool:
        """Whether `Authorization` says who the gateway is. Then that of the user is not sent."""
        return self.credentials is not None or any(name == "authorization" for name, _ in self.static)


NO_RULES = HeaderRules()


class ReturnedHeaders:
    """The headers of services' replies that the response to one request gets.

    `Set-Cookie` of several replies are all sent. Of any other header one value is sent; if services differ, none is.
    """

    __slots__ = ("_cookies", "_values")

    def __init__(self) -> None:
        self._values: dict[str, str | None] = {}
        self._cookies: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._values or self._cookies)

    def note(self, names: Sequence[str], headers: Mapping[str, str], *, is_read: bool) -> bool:
        """Take over a reply's headers of these names. Returns whether a cookie is among them.

        The cookies of reads are left out: a reply to a read may be shared with other clients.
        """
        has_cookie = False
        for name in names:
            value = headers.get(name)
            if value is None:
                continue
            if name == _SET_COOKIE:
                if not is_read:
                    has_cookie = True
                    self._cookies += [each for each in value.split(COOKIE_SEPARATOR) if _is_returnable(each)]
                    del self._cookies[_MOST_COOKIES:]
            elif _is_returnable(value):
                self._values[name] = value if self._values.get(name, value) == value else None
        return has_cookie

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Names and values, for ASGI."""
        found = [(name, value) for name, value in self._values.items() if value is not None]
        found += [(_SET_COOKIE, value) for value in self._cookies]
        return tuple((name.encode(), value.encode("latin-1")) for name, value in found)


def _is_returnable(value: str) -> bool:
    return len(value) <= _LONGEST_RETURNED and is_value(value)
