"""Heads of requests: which are refused, and how an upgrade offer is removed."""

import pytest

from bff.server.head import refusal_of, without_upgrade


@pytest.mark.parametrize(
    ("method", "version", "headers", "status"),
    [
        (b"GET", "1.1", [(b"host", b"x")], None),
        (b"GET", "1.0", [], None),
        (b"GET", "1.1", [], 400),
        (b"GET", "1.1", [(b"host", b"x"), (b"host", b"x")], 400),
        (b"GET", "2.0", [(b"host", b"x")], 505),
        (b"CONNECT", "1.1", [(b"host", b"x")], 405),
        (b"POST", "1.1", [(b"host", b"x"), (b"transfer-encoding", b"Chunked")], None),
        (b"POST", "1.1", [(b"host", b"x"), (b"transfer-encoding", b"gzip, chunked")], 501),
        (b"POST", "1.1", [(b"host", b"x"), (b"transfer-encoding", b"x"), (b"transfer-encoding", b"chunked")], 501),
        (b"POST", "1.0", [(b"transfer-encoding", b"chunked")], 501),
    ],
)
def test_which_heads_are_refused(
    method: bytes, version: str, headers: list[tuple[bytes, bytes]], status: int | None
) -> None:
    """RFC 9112, sections 2.3, 3.2 and 6.1."""
    refusal = refusal_of(method, version, headers)
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("connection", "kept"),
    [
        (b"Upgrade", None),
        (b"upgrade, HTTP2-Settings", None),
        (b"keep-alive, Upgrade", b"keep-alive"),
        (b"Upgrade, close", b"close"),
        (b",, upgrade ,", None),
    ],
)
def test_only_the_upgrade_offer_is_removed(connection: bytes, kept: bytes | None) -> None:
    """All other fields stay the same, repeated ones too."""
    headers = [
        (b"host", b"x"),
        (b"connection", connection),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAMAAABk"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
    ]
    lines = [b"POST /web/graphql HTTP/1.1", b"host: x", b"x-a: 1", b"x-a: 2", b"", b""]
    if kept is not None:
        lines.insert(2, b"connection: " + kept)
    assert without_upgrade(b"POST", b"/web/graphql", "1.1", headers) == b"\r\n".join(lines)
