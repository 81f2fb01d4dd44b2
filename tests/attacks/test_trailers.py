"""Trailer fields (RFC 9110, section 6.5) are dropped, and count against the limits of the connection."""

import json
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway
from tests.support.proxies import haproxy
from tests.support.services import Tapped
from tests.support.sockets import connected, one_answer, until_closed

HEAD = b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n"


def chunked(query: str, trailer: bytes = b"", head: bytes = HEAD) -> bytes:
    """A request by chunks, with a trailer."""
    body = json.dumps({"query": query}).encode()
    return head + b"\r\n%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailer)


def answer(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """The status and the body of the next answer."""
    status, _, body = one_answer(connection)
    return status, json.loads(body)


def test_a_token_in_a_trailer_is_ignored(gateway: RunningGateway, services: Tapped) -> None:
    """In its own request and in the next one."""
    trailer = f"authorization: Bearer {gateway.token('1')}\r\nx-api-key: none\r\nx-request-id: trailing\r\n".encode()
    with connected(gateway.url) as connection:
        for _ in range(2):
            connection.sendall(chunked("{ me { id } }", trailer))
            assert answer(connection) == (200, {"data": {"me": None}})
    assert not services.calls


def test_an_address_in_a_trailer_is_ignored(start_gateway: StartGateway, tmp_path: Path) -> None:
    """Through a real HAProxy, which passes trailers on: all of a client's requests are charged to its own count."""
    gateway = start_gateway(
        BFF_RATE__ENABLED="true",
        BFF_VARIANTS__WEB__RATE__BURST="5",
        BFF_VARIANTS__WEB__RATE__PER_MINUTE="1",
        BFF_PROXIES__TRUSTED="127.0.0.1",
    )
    with haproxy(tmp_path, {"one": gateway.url}) as url:
        statuses = []
        for number in range(10):
            with connected(url) as connection:
                connection.sendall(chunked("{ __typename }", f"X-Forwarded-For: 10.0.0.{number}\r\n".encode()))
                statuses.append(answer(connection)[0])
    # The proxy's own address is trusted, so the client's is the proxy's word for it: 127.0.0.1.
    assert statuses == [200] * 5 + [429] * 5


@pytest.mark.parametrize(
    "trailer",
    [
        b"x: " + b"a" * 2_000_000 + b"\r\n",
        b"".join(b"x%d: %s\r\n" % (number, b"a" * 1000) for number in range(2000)),
        b"a:\r\n" * 100_000,
    ],
)
def test_trailers_are_limited(gateway: RunningGateway, trailer: bytes) -> None:
    """One large field, many fields, and the smallest ones: the connection is closed long before the end."""
    with connected(gateway.url) as connection:
        sent = 0
        request = chunked("{ __typename }", trailer)
        try:
            while sent < len(request):
                sent += connection.send(request[sent : sent + 8192])
        except OSError:
            pass
        else:
            until_closed(connection)
    assert gateway.ask("web", "{ __typename }") == {"data": {"__typename": "Query"}}
    until = time.monotonic() + 20
    while gateway.app.in_flight:
        assert time.monotonic() < until, "something still waits for it"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "body",
    [
        b"1;" + b"x" * 200_000 + b"\r\na\r\n0\r\n\r\n",
        b"1\r\n \r\n" * 50_000 + b"0\r\n\r\n",
        b"1\r\n \r\n" * 50_000,
    ],
)
def test_framing_is_limited(gateway: RunningGateway, body: bytes) -> None:
    """Chunk extensions, and chunks of one byte."""
    with connected(gateway.url) as connection:
        try:
            connection.sendall(HEAD + b"\r\n" + body)
            received = until_closed(connection)
        except OSError:
            return
    assert not received or received.startswith(b"HTTP/1.1 431")


def test_a_body_in_small_chunks_is_accepted(gateway: RunningGateway) -> None:
    """Some clients send data as they produce it."""
    body = json.dumps({"query": "{ __typename }" + " " * 3000}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    with connected(gateway.url) as connection:
        connection.sendall(HEAD + b"\r\n" + chunks + b"0\r\n\r\n")
        assert answer(connection) == (200, {"data": {"__typename": "Query"}})
