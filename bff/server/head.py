"""Rules about the head of a request (RFC 9112), without I/O: which are refused, and how an upgrade offer is removed."""

from collections.abc import Sequence

from bff.errors import BadRequest, GatewayError

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, in the order of the request."""

_VERSIONS = frozenset({"1.0", "1.1"})
_UPGRADE_FIELDS = frozenset({b"upgrade", b"http2-settings"})
"""Fields that offer an upgrade. `Connection` lists the same names as options."""


def refusal_of(method: bytes, version: str, headers: Headers) -> GatewayError | None:
    """The reason to refuse a request with this head; None if it is accepted.

    A request has exactly one `Host`; in HTTP/1.0 it may have none (RFC 9112, section 3.2). Proxies disagree on which of two
    counts. They also disagree on transfer codings other than `chunked`, on repeated ones, and on any in HTTP/1.0 (section
    6.1). Such a disagreement allows request smuggling.
    """
    if version not in _VERSIONS:
        return BadRequest(f"Expected HTTP/1.1, got HTTP/{version}.", status=505)
    if method == b"CONNECT":
        return BadRequest(
            "CONNECT is not supported: this server is not a proxy.",
            status=405,
            headers=((b"allow", b"GET, HEAD, POST, OPTIONS"),),
        )
    hosts = 0
    codings = []
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            codings.append(value)
    if hosts > 1 or (not hosts and version == "1.1"):
        return BadRequest(f"Expected one Host header, got {hosts}.")
    if codings and (version != "1.1" or len(codings) > 1 or codings[0].strip().lower() != b"chunked"):
        return BadRequest("Expected no transfer coding except chunked, once and in HTTP/1.1.", status=501)
    return None


def without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """The head as bytes, without its offer to upgrade.

    A server may ignore the offer (RFC 9110, section 7.8). The parser would read the bytes after such a head as another
    protocol, so it must not see the offer.
    """
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode("ascii"))]
    for name, value in headers:
        if name in _UPGRADE_FIELDS:
            continue
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            value = b", ".join(option for option in options if option and option.lower() not in _UPGRADE_FIELDS)  # noqa: PLW2901
            if not value:
                continue
        lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
