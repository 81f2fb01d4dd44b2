"""Heads that a proxy and the gateway could read differently (RFC 9112), and many requests at once."""

import json

import pytest

from tests.support.gateways import RunningGateway
from tests.support.services import Tapped
from tests.support.sockets import connected, until_closed


def ask(gateway: RunningGateway, request: bytes) -> tuple[int, bytes]:
    """The status and the head of the answer to the last request of a connection."""
    with connected(gateway.url) as connection:
        connection.sendall(request)
        received = until_closed(connection)
    head, _, _ = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), head


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        (b"1.1", [b"host: x\r\n"], 200),
        (b"1.1", [], 400),
        (b"1.1", [b"host: x\r\n", b"host: y\r\n"], 400),
        (b"1.1", [b"host: x\r\n", b"Host: x\r\n"], 400),
        (b"1.0", [], 200),
        (b"1.0", [b"host: x\r\n", b"host: y\r\n"], 400),
        (b"2.0", [b"host: x\r\n"], 505),
        (b"0.9", [b"host: x\r\n"], 505),
    ],
)
def test_a_request_has_one_host(gateway: RunningGateway, version: bytes, hosts: list[bytes], status: int) -> None:
    """RFC 9112, section 3.2: none or several are a bad request."""
    request = b"GET /health HTTP/%s\r\nconnection: close\r\n%s\r\n" % (version, b"".join(hosts))
    assert ask(gateway, request)[0] == status


@pytest.mark.parametrize(
    "path",
    [
        b"/%77eb/graphql",
        b"/web%2Fgraphql",
        b"/%61dmin/graphql",
        b"/web/graphql%00",
        b"//web/graphql",
        b"/./web/graphql",
        b"/mobile/../web/graphql",
        b"/web/graphql/",
        b"/WEB/graphql",
        b"/%68ealth",
        b"/metric%73",
        b"/health/",
    ],
)
def test_a_path_is_not_normalized(gateway: RunningGateway, path: bytes) -> None:
    """Another spelling must not bypass a proxy's rule for `/admin/`, and no redirect uses the Host that the client sent."""
    request = b"GET %s?query=%%7B__typename%%7D HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n" % path
    status, head = ask(gateway, request)
    assert status == 404
    assert b"evil.example" not in head


def test_pipelined_requests_are_not_parsed_while_one_is_answered(gateway: RunningGateway, services: Tapped) -> None:
    """Thousands in one segment cost no more than a few. All are answered, in order."""
    number = 1000
    get = b"GET /web/graphql?query=%%7Ba%d%%3A__typename%%7D HTTP/1.1\r\nhost: x\r\n\r\n"
    end = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    most = 0
    with connected(gateway.url) as connection:
        connection.sendall(b"".join(get % each for each in range(number)) + end)
        received = b""
        while chunk := connection.recv(65536):
            most = max(most, gateway.app.in_flight)
            received += chunk
    bodies = [json.loads(each.partition(b"\r\n\r\n")[2] or b"{}") for each in received.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert [next(iter(body["data"])) for body in bodies[:-1]] == [f"a{each}" for each in range(number)]
    assert bodies[-1] == {"status": "ok"}
    assert most <= 1


@pytest.mark.parametrize(("version", "interim"), [(b"1.0", False), (b"1.1", True)])
def test_a_client_of_http_1_0_gets_no_interim_answer(gateway: RunningGateway, version: bytes, interim: bool) -> None:
    """RFC 9110, section 10.1.1: it would read it as the answer."""
    head = (
        b"POST /web/graphql HTTP/%s\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
        b"connection: close\r\ncontent-length: 26\r\n\r\n"
    )
    with connected(gateway.url) as connection:
        connection.sendall(head % version)
        if interim:
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"query":"{ __typename }"}')
        assert until_closed(connection).startswith(b"HTTP/1.1 200 OK\r\n")
