"""Which headers a service gets of a client's request, and which a client gets of the service's answer. No I/O."""

import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from bff.upstream.wire import RawHeaders

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""Those of one connection (RFC 9110, section 7.6.1). `Connection` names others."""

_NOT_SENT = _HOP_BY_HOP | {
    b"authorization",  # sent again if it was checked
    b"content-length",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"traceparent",
    b"x-api-key",
    b"x-http-method",
    b"x-http-method-override",
    b"x-method-override",
    b"x-original-url",
    b"x-real-ip",
    b"x-request-id",
    b"x-request-timeout-ms",
    b"x-rewrite-url",
    b"x-user-id",
}
"""Those that the gateway sets itself, those that are for the gateway, and those by which some servers replace the method or
the path, which would then be others than those that were checked."""

_NOT_RETURNED = _HOP_BY_HOP | {b"alt-svc", b"date", b"set-cookie", b"x-request-id"}
"""Those that the gateway sets itself. `Alt-Svc` would send clients past the gateway."""

_LINK = re.compile(r"<([^<>]*)>")
_DEFAULT_PORTS = {"http": 80, "https": 443}
VIA = b"1.1 bff"


def named_by_connection(values: Sequence[bytes]) -> frozenset[bytes]:
    """The names in `Connection`, in lower case."""
    return frozenset(name.strip().lower() for value in values for name in value.split(b","))


def sent_headers(
    headers: Sequence[tuple[bytes, bytes]], connection: Sequence[bytes], added: RawHeaders, *, cookies: bool
) -> RawHeaders:
    """The headers for the service: those of the client that are not the gateway's business, and `added`.

    Names with an underscore are left out: some servers read `X_User_ID` as `X-User-ID`.
    """
    dropped = named_by_connection(connection) | _NOT_SENT if connection else _NOT_SENT
    kept = [
        each
        for each in headers
        if each[0] not in dropped and not each[0].startswith(b"x-forwarded-") and b"_" not in each[0]
    ]
    if cookies:
        kept += [each for each in headers if each[0] == b"cookie"]
    return (*kept, *added)


def forwarding_headers(
    headers: Mapping[bytes, list[bytes]], peer: str, scheme: str, prefix: bytes, *, is_trusted: bool
) -> RawHeaders:
    """`X-Forwarded-*` and `Via`. What the peer says of those before it is passed on only if the peer is trusted."""
    before = headers.get(b"x-forwarded-for", []) if is_trusted else []
    proto = headers.get(b"x-forwarded-proto", []) if is_trusted else []
    host = (headers.get(b"x-forwarded-host", []) if is_trusted else []) or headers.get(b"host", [])
    hops = [*before, peer.encode("ascii", "replace")] if peer else before  # a Unix socket has no address
    made = [(b"x-forwarded-for", b", ".join(hops))] if hops else []
    made += [
        (b"x-forwarded-proto", proto[0] if proto and proto[0] in {b"http", b"https"} else scheme.encode()),
        (b"via", VIA),
    ]
    if host:
        made.append((b"x-forwarded-host", host[0]))
    if prefix:
        made.append((b"x-forwarded-prefix", prefix))
    return tuple(made)


def returned_headers(
    headers: RawHeaders,
    urls: Callable[[], Sequence[str]],
    public: Callable[[str], str | None],
    *,
    cookies: bool,
    status: int,
) -> list[tuple[bytes, bytes]]:
    """The headers for the client. URLs of the service become the gateway's.

    Args:
        headers: the service's.
        urls: its base URLs, which clients must not see.
        public: the gateway's path for a path of the service.
        cookies: whether `Set-Cookie` is passed on.
        status: of the answer.
    """
    dropped = named_by_connection([value for name, value in headers if name == b"connection"]) | _NOT_RETURNED
    if status in {204, 304}:
        dropped |= {b"content-length"}  # of a body that does not follow
    found = []
    for name, value in headers:
        if name in {b"location", b"content-location"}:
            found.append((name, public_url(value.decode("latin-1"), urls(), public).encode("latin-1")))
        elif name in {b"link", b"refresh"}:
            found.append((name, _public_links(name, value.decode("latin-1"), urls(), public).encode("latin-1")))
        elif name not in dropped or (cookies and name == b"set-cookie"):
            found.append((name, value))
    return found


def _public_links(name: bytes, value: str, urls: Sequence[str], public: Callable[[str], str | None]) -> str:
    """`Link` (RFC 8288) or `Refresh` with the gateway's URLs."""
    if name == b"link":
        return _LINK.sub(lambda match: f"<{public_url(match[1], urls, public)}>", value)
    seconds, equals, url = value.partition("=")
    return f"{seconds}={public_url(url.strip(), urls, public)}" if equals else value


def public_url(url: str, urls: Sequence[str], public: Callable[[str], str | None]) -> str:
    """A URL as clients may see it: without the service's origin, and with the gateway's path if it has one for it.

    A URL of another origin, or one that is relative to the request's, stays as it is.
    """
    path = url
    base = urlsplit(urls[0]).path if urls else ""
    if not url.startswith("/") or url.startswith("//"):
        found = _without_origin(url, urls)
        if found is None:
            return url
        path, base = found
    inside = path
    if base and (path == base or path.startswith(f"{base}/")):
        inside = path[len(base) :] or "/"
    return public(inside) or path


def _without_origin(url: str, urls: Sequence[str]) -> tuple[str, str] | None:
    """The path of a URL of the service, with query and fragment, and the base path of that instance; None for others."""
    try:
        parts = urlsplit(url)
        for each in urls:
            own = urlsplit(each)
            # Also without a port: a service that redirects to HTTPS names its host alone.
            if parts.hostname == own.hostname and parts.port in {None, own.port, _DEFAULT_PORTS.get(own.scheme)}:
                return parts._replace(scheme="", netloc="").geturl() or "/", own.path
    except ValueError:  # a malformed URL
        pass
    return None
