"""Upgrade offers (RFC 9110, section 7.8) are ignored, and the bytes after such a head are that request's body."""

import json
import threading
from pathlib import Path

import httpx
import pytest

from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway
from tests.support.proxies import nginx
from tests.support.sockets import connected, one_answer, until_closed

INNER = b"GET /web/graphql?query=%7Bmine%3A__typename%7D HTTP/1.1\r\nhost: inner\r\n\r\n"
QUERY = json.dumps({"query": "{ outer: __typename }"}).encode()
OFFERS = ["foo", "websocket", "h2c"]


def post(offer: str, body: bytes, *, connection: str = "Upgrade") -> tuple[bytes, bytes]:
    """A head that offers to upgrade, and its body."""
    head = (
        f"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: {connection}\r\n"
        f"upgrade: {offer}\r\nhttp2-settings: AAMAAABk\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


def answers(received: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer in the received bytes."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.lower().startswith(b"content-length:"))
        found.append((int(lines[0].split()[1]), rest[:length]))
        received = rest[length:]
    return found


END = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("split", [None, "head", "byte"])
def test_a_body_behind_an_offer_is_never_a_request(gateway: RunningGateway, offer: str, split: str | None) -> None:
    """In any segmentation: one request gets one answer."""
    head, body = post(offer, INNER)
    with connected(gateway.url) as connection:
        if split is None:
            connection.sendall(head + body + END)
        elif split == "head":
            connection.sendall(head)
            threading.Event().wait(0.1)
            connection.sendall(body + END)
        else:
            connection.sendall(head[:-1])
            threading.Event().wait(0.05)
            for byte in head[-1:] + body[:20]:
                connection.sendall(bytes([byte]))
                threading.Event().wait(0.002)
            connection.sendall(body[20:] + END)
        found = answers(until_closed(connection))
    assert [status for status, _ in found] == [400, 200]
    assert b"mine" not in found[0][1]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("connection_header", ["Upgrade", "Upgrade, HTTP2-Settings", "keep-alive, upgrade"])
def test_a_request_with_an_offer_is_answered_as_one_without(
    gateway: RunningGateway, offer: str, connection_header: str
) -> None:
    """By POST and by GET. The connection stays open."""
    head, body = post(offer, QUERY, connection=connection_header)
    get = (
        b"GET /web/graphql?query=%7Bouter%3A__typename%7D HTTP/1.1\r\nhost: x\r\nconnection: "
        + connection_header.encode()
        + b"\r\nupgrade: "
        + offer.encode()
        + b"\r\n\r\n"
    )
    with connected(gateway.url) as connection:
        for request in (head + body, get, get + head + body + get):
            connection.sendall(request)
        connection.sendall(END)
        found = answers(until_closed(connection))
    assert [status for status, _ in found] == [200] * 6
    assert {body for _, body in found[:-1]} == {b'{"data":{"outer":"Query"}}'}


def test_a_chunked_body_behind_an_offer_is_read(gateway: RunningGateway) -> None:
    """The framing is that of HTTP/1.1."""
    head = (
        b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: upgrade\r\n"
        b"upgrade: h2c\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    with connected(gateway.url) as connection:
        connection.sendall(head)
        threading.Event().wait(0.05)
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(QUERY), QUERY) + END)
        found = answers(until_closed(connection))
    assert [status for status, _ in found] == [200, 200]


def test_a_connect_is_refused_and_ends_the_connection(gateway: RunningGateway) -> None:
    """The bytes behind it are never parsed."""
    with connected(gateway.url) as connection:
        connection.sendall(b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n" + INNER)
        found = answers(until_closed(connection))
    assert [status for status, _ in found] == [405]


def test_through_nginx_each_viewer_gets_its_own_answer(start_gateway: StartGateway, tmp_path: Path) -> None:
    """One viewer tries to smuggle a request for its own profile behind an offer. Others use the same kept connections."""
    gateway = start_gateway()
    query = "%7Bme%7Bid%20email%7D%7D"
    token = gateway.token("1")
    inner = f"GET /web/graphql?query={query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    # nginx buffers a body of this size in a file, and so sends it to the gateway in separate segments.
    head, body = post("foo", b"\r\n" * 16_000 + inner)
    with nginx(tmp_path, [gateway.url], websockets=True) as url:
        for round_ in range(12):
            with connected(url) as connection:
                connection.sendall(head)
                threading.Event().wait(0.02)
                connection.sendall(body)
                assert one_answer(connection)[0] == 400
            sub = str(100 + round_)
            answer = httpx.get(
                f"{url}/web/graphql?query={query}", headers=gateway.bearer(sub), trust_env=False, timeout=30
            ).json()
            assert answer == {"data": {"me": {"id": sub, "email": f"user{sub}@example.com"}}}
