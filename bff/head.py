"""Rules about the head of a request (RFC 9112), without I/O: what is refused, and how an offer to upgrade is left out."""

from collections.abc import Sequence

from bff.errors import BadRequest, GatewayError

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, in the order in which they came."""

_VERSIONS = frozenset({"1.0", "1.1"})
_UPGRADE_FIELDS = frozenset({b"upgrade", b"http2-settings"})
_OFFERS = frozenset({b"upgrade", b"http2-settings"})


def refusal_of(method: bytes, version: str, headers: Headers) -> GatewayError | None:
    """Why a request with this head is refused whatever it asks for; None where it is not.

    A request has exactly one `Host`; in HTTP/1.0 it may have none (RFC 9112, section 3.2). Two of them are read differently
    by the proxies in front. So are transfer codings other than `chunked`, one that is repeated, and any in HTTP/1.0
    (section 6.1).
    """
    if version not in _VERSIONS:
        return BadRequest("Expected HTTP/1.1.", status=505)
    if method == b"CONNECT":
        return BadRequest("This is no proxy.", status=405, headers=((b"allow", b"GET, HEAD, POST, OPTIONS"),))
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return BadRequest(f"Expected one Host header, got {len(hosts)}.")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and (version != "1.1" or len(codings) > 1 or codings[0].strip().lower() != b"chunked"):
        return BadRequest("Expected no transfer coding but chunked.", status=501)
    return None


def without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """The bytes of the same head without its offer to upgrade.

    A server may ignore the offer, and then answers as if it had not been made (RFC 9110, section 7.8). What the parser does
    with the bytes behind such a head depends on the offer, so it must not see it.
    """
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode("ascii"))]
    for name, value in headers:
        if name in _UPGRADE_FIELDS:
            continue
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            value = b", ".join(option for option in options if option and option.lower() not in _OFFERS)  # noqa: PLW2901
            if not value:
                continue
        lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
