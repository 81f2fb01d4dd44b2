"""Connections that occupy the gateway: slow or large heads, too many, or answers that are not read."""

import json
import time
from collections.abc import Callable

import pytest

from tests.conftest import StartGateway
from tests.support.faults import Fault
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped
from tests.support.sockets import connected, until_closed

BODY = b'{"query":"{ __typename }"}'
HEAD = b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 26\r\n"
GOOD = HEAD + b"\r\n" + BODY


def refusal(received: bytes) -> tuple[int, str]:
    """The status and the code of an answer that closes the connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"no-store" in head
    return int(head.split()[1]), json.loads(body)["errors"][0]["extensions"]["code"]


_MOST_DRIPS = 600
"""Half a minute of them: no verdict, but the end of a test that fails."""


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    for _ in range(1500):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError("it never came about")


def is_served(gateway: RunningGateway) -> bool:
    """Whether a new connection is answered 200."""
    with connected(gateway.url) as connection:
        try:
            connection.sendall(GOOD)
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
        except ConnectionError:  # refused, and closed, before it was sent
            return False


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", None),
        (b"\r\n", (408, "BAD_REQUEST")),
        (b"PO", (408, "BAD_REQUEST")),
        (HEAD, (408, "BAD_REQUEST")),
    ],
)
def test_an_incomplete_head_times_out(start_gateway: StartGateway, sent: bytes, expected: tuple[int, str] | None) -> None:
    """With any number of bytes. A connection without any byte is closed without an answer."""
    gateway = start_gateway(BFF_CONNECTIONS__HEAD_TIMEOUT_S="0.3")
    with connected(gateway.url) as connection:
        connection.sendall(sent)
        received = until_closed(connection)
        assert (refusal(received) if received else None) == expected


def test_a_head_sent_byte_by_byte_times_out(start_gateway: StartGateway) -> None:
    """Also on a used connection, and behind a body that was answered."""
    gateway = start_gateway(BFF_CONNECTIONS__HEAD_TIMEOUT_S="0.3")
    for first in (b"", GOOD):
        with connected(gateway.url) as connection:
            if first:
                connection.sendall(first)
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - whichever send finds out
                for _ in range(_MOST_DRIPS):
                    connection.sendall(b"x")
                    time.sleep(0.05)


def test_the_body_of_an_answered_request_times_out(start_gateway: StartGateway) -> None:
    """It was answered with 401 before its body arrived."""
    gateway = start_gateway(BFF_CONNECTIONS__HEAD_TIMEOUT_S="0.3")
    with connected(gateway.url) as connection:
        connection.sendall(b"POST /web/graphql HTTP/1.1\r\nhost: x\r\nauthorization: x\r\ncontent-length: 1000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - whichever send finds out
            for _ in range(_MOST_DRIPS):
                connection.sendall(b"x")
                time.sleep(0.05)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /web/graphql?query=" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        HEAD + b"x-long: " + b"a" * 40_000 + b"\r\n\r\n" + BODY,
        HEAD + b"".join(b"x-%d: a\r\n" % number for number in range(200)) + b"\r\n" + BODY,
        HEAD + b"x-endless: " + b"a" * 1_000_000,
    ],
)
@pytest.mark.parametrize("used", [False, True])
def test_a_head_that_is_too_large_is_431(gateway: RunningGateway, head: bytes, used: bool) -> None:
    """By its line, by one header, by the number of headers, or without an end."""
    with connected(gateway.url) as connection:
        if used:
            connection.sendall(GOOD)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        try:
            connection.sendall(head)
        except OSError:  # it hung up before all was sent
            return
        received = until_closed(connection)
        assert not received or refusal(received) == (431, "BAD_REQUEST")


def test_a_large_body_behind_a_small_head_is_no_large_head(gateway: RunningGateway) -> None:
    """Both arrive in one segment."""
    body = json.dumps({"query": "{ __typename }" + " " * 90_000}).encode()
    head = b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
    with connected(gateway.url) as connection:
        connection.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert until_closed(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x00\x00 a TLS hello\r\n\r\n", b"GET\r\n\r\n", b"\x00" * 100])
def test_invalid_http_is_400(gateway: RunningGateway, junk: bytes) -> None:
    """In the form of any refusal."""
    with connected(gateway.url) as connection:
        connection.sendall(junk)
        assert refusal(until_closed(connection)) == (400, "BAD_REQUEST")


def test_connections_are_limited(start_gateway: StartGateway) -> None:
    """One too many gets a refusal. When another has closed, new ones are accepted."""
    gateway = start_gateway(BFF_CONNECTIONS__MAX_CONNECTIONS="3")
    with connected(gateway.url), connected(gateway.url):
        with connected(gateway.url) as third, connected(gateway.url) as fourth:
            assert refusal(until_closed(fourth)) == (503, "SERVICE_UNAVAILABLE")
            third.sendall(GOOD)
            assert third.recv(4096).startswith(b"HTTP/1.1 200")
        eventually(lambda: is_served(gateway))


def test_a_client_that_reads_no_answer_is_disconnected(start_gateway: StartGateway) -> None:
    """It sends requests and reads nothing. All memory that it used is released."""
    gateway = start_gateway(BFF_CONNECTIONS__HEAD_TIMEOUT_S="0.3", BFF_VARIANTS__WEB__INTROSPECTION="true")
    fields = "name description fields { name description args { name description type { name } } type { name kind } }"
    body = json.dumps({"query": f"{{ __schema {{ types {{ {fields} }} }} }}"}).encode()
    head = b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with connected(gateway.url, small=True) as connection:
        request = head % len(body) + body
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - whichever send finds out
            for _ in range(3000):
                connection.sendall(request * 10)
                time.sleep(0.01)
    assert gateway.ask("web", "{ __typename }") == {"data": {"__typename": "Query"}}
    eventually(lambda: not gateway.app.in_flight)  # nothing is kept for it any more


def test_junk_behind_a_request_closes_the_connection(start_gateway: StartGateway, services: Tapped) -> None:
    """While the request is being answered: a refusal would be read as its answer."""
    gateway = start_gateway()
    services.fail("products", Fault.HANG)
    body = b'{"query":"{ product(id: 1) { name } }"}'
    head = b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with connected(gateway.url) as connection:
        connection.sendall(head % len(body) + body)
        eventually(lambda: services.ports["products"].requests > 0)
        connection.sendall(b"no HTTP\r\n\r\n")
        assert until_closed(connection) == b""
