"""Streams through routes: large bodies, slow and absent readers and writers, and requests that try to be two."""

import asyncio
import socket
import threading
from hashlib import pbkdf2_hmac
from pathlib import Path
from typing import Any

import pytest

from tests.bff.routes.conftest import start  # noqa: F401 - a fixture
from tests.support.routes import ROUTE
from tests.support.sockets import connected, until_closed
from tests.support.upstreams import Exchange

MIB = 1024 * 1024
LARGE = 200 * MIB
MOST_GROWTH = 24 * MIB
PIECE = bytes(64 * 1024)
UNLIMITED = ROUTE + "max_request_bytes = 1000000000\n"
GET = b"GET /api HTTP/1.1\r\nhost: x\r\n\r\n"


def resident_bytes() -> int:
    """The memory of this process, in which the gateway, the service and the client run."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


class Sink:
    """A service that sends or takes a large body, and notes how far it has come."""

    def __init__(self, size: int = LARGE) -> None:
        self.size = size
        self.sent_bytes = 0
        self.received_bytes = 0
        self.begun = threading.Event()
        self.closed = threading.Event()
        self.may_read = threading.Event()

    async def send(self, exchange: Exchange) -> None:
        """Send the body."""
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % self.size)
        try:
            while self.sent_bytes < self.size:
                await exchange.send(PIECE)
                self.sent_bytes += len(PIECE)
                self.begun.set()
        except ConnectionError:
            self.closed.set()
            raise

    async def take(self, exchange: Exchange) -> None:
        """Take a body, once `may_read` is set."""
        self.begun.set()
        await asyncio.to_thread(self.may_read.wait, 30)
        while self.received_bytes < self.size:
            piece = await exchange.reader.read(64 * 1024)
            if not piece:
                self.closed.set()
                raise ConnectionResetError
            self.received_bytes += len(piece)
        await exchange.send(b"HTTP/1.1 204 No Content\r\n\r\n")


def standstill(value: Any) -> int:
    """The value once it has stayed the same for a while."""
    before = -1
    pause = threading.Event()
    while (now := int(value())) != before:
        before = now
        pause.wait(0.3)
    return before


def test_a_large_answer_takes_no_memory(start: Any) -> None:  # noqa: F811
    """200 MB pass through, and a few MB are in memory at any time."""
    sink = Sink()
    routed = start(answer=sink.send)
    with connected(routed.url) as connection:
        connection.sendall(GET)
        connection.recv(65536)
        before = most = resident_bytes()
        received = 0
        while received < LARGE - 65536:
            received += len(connection.recv(256 * 1024))
            most = max(most, resident_bytes())
    assert most - before < MOST_GROWTH


def test_a_client_that_does_not_read_stops_the_service(start: Any) -> None:  # noqa: F811
    """Only what the sockets' buffers take was sent; memory doesn't grow. When it hangs up, so does the gateway."""
    sink = Sink()
    routed = start(answer=sink.send)
    before = resident_bytes()
    with connected(routed.url, small=True) as connection:
        connection.sendall(GET)
        sink.begun.wait(30)
        assert standstill(lambda: sink.sent_bytes) < LARGE // 2
        assert resident_bytes() - before < MOST_GROWTH
    assert sink.closed.wait(30)


def test_a_large_upload_takes_no_memory(start: Any) -> None:  # noqa: F811
    """The other way round."""
    sink = Sink()
    sink.may_read.set()
    routed = start(UNLIMITED, sink.take)
    with connected(routed.url) as connection:
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % LARGE)
        before = most = resident_bytes()
        for _ in range(LARGE // len(PIECE)):
            connection.sendall(PIECE)
            most = max(most, resident_bytes())
        assert connection.recv(65536).startswith(b"HTTP/1.1 204")
    assert most - before < MOST_GROWTH


def test_a_service_that_does_not_read_stops_the_client(start: Any) -> None:  # noqa: F811
    """The gateway doesn't take what it can't pass on."""
    sink = Sink()
    routed = start(UNLIMITED, sink.take)
    before = resident_bytes()
    with connected(routed.url) as connection:
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % LARGE)
        connection.setblocking(False)
        taken = 0

        def send_more() -> int:
            nonlocal taken
            try:
                while True:
                    taken += connection.send(PIECE)
            except BlockingIOError:
                return taken

        assert standstill(send_more) < LARGE // 2  # what the kernel holds in four sockets
        assert resident_bytes() - before < MOST_GROWTH
    sink.may_read.set()
    assert sink.closed.wait(30)


def test_a_service_that_takes_nothing_is_given_up(start: Any) -> None:  # noqa: F811
    """After `idle_timeout_s`, with 504."""
    sink = Sink()
    routed = start(UNLIMITED + "idle_timeout_s = 0.3\n", sink.take)
    with connected(routed.url) as connection:
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % LARGE)
        answered = threading.Event()

        def send_all() -> None:
            try:
                while not answered.is_set():
                    connection.send(PIECE)
            except OSError:
                pass

        sender = threading.Thread(target=send_all)
        sender.start()
        answer = connection.recv(65536)
        answered.set()
        connection.shutdown(socket.SHUT_RDWR)
        sender.join(30)
    assert answer.startswith(b"HTTP/1.1 504")
    sink.may_read.set()


def test_a_client_that_hangs_up_in_its_upload_ends_the_call(start: Any) -> None:  # noqa: F811
    """The service never sees the end of the body."""
    sink = Sink()
    sink.may_read.set()
    routed = start(UNLIMITED, sink.take)
    with connected(routed.url) as connection:
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc")
        sink.begun.wait(30)
    assert sink.closed.wait(30)


def test_a_client_that_hangs_up_before_the_answer_ends_the_call(start: Any) -> None:  # noqa: F811
    """The place in the bulkhead is free again."""
    begun, closed = threading.Event(), threading.Event()

    async def hang(exchange: Exchange) -> None:
        begun.set()
        if not await exchange.reader.read():
            closed.set()

    routed = start(answer=hang)
    with connected(routed.url) as connection:
        connection.sendall(GET)
        begun.wait(30)
    assert closed.wait(30)


def test_a_long_download_is_not_mistaken_for_a_slow_reader(start: Any) -> None:  # noqa: F811
    """What is unread stays the same while it is read and written on: only what the client acknowledges counts."""
    sink = Sink(1 << 50)
    routed = start(answer=sink.send, BFF_CONNECTIONS__HEAD_TIMEOUT_S="0.3", BFF_CONNECTIONS__READ_BYTES_PER_S="1")
    with connected(routed.url) as connection:
        connection.sendall(GET)
        received = 0
        while received < 128 * MIB:
            piece = connection.recv(64 * 1024)
            assert piece, received
            received += len(piece)
            pbkdf2_hmac("sha256", b"x", b"x", 2000)  # the client is the slowest of the three


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: +5\r\n",
        b"content-length: 5, 5\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"transfer-encoding: chunked, chunked\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding : chunked\r\n",
        b"transfer-encoding:\x0bchunked\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        b"x: 1\n content-length: 5\r\n",
        b"content-length: 5\r\n folded: 1\r\n",
        b"x: a\x00b\r\n",
        b"x: a\rtransfer-encoding: chunked\r\n",
    ],
)
def test_a_request_that_servers_frame_differently_reaches_no_service(start: Any, framing: bytes) -> None:  # noqa: F811
    """Request smuggling (RFC 9112, section 11.2)."""
    routed = start()
    with connected(routed.url) as connection:
        body = b"0\r\n\r\nGET /api/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + framing + b"\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        received = until_closed(connection)
    assert not [each for each in routed.service.requests if "smuggled" in each.line]
    assert received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")) or not received


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ],
)
def test_an_answer_that_is_no_http_is_a_problem(start: Any, answer: bytes) -> None:  # noqa: F811
    """The client never gets bytes whose framing is in doubt."""

    async def reply(exchange: Exchange) -> None:
        await exchange.send(answer)

    routed = start(answer=reply)
    found = routed.gateway.http.get(f"{routed.url}/api")
    assert (found.status_code, found.headers["content-type"]) == (502, "application/problem+json")


def test_bytes_after_an_answer_reach_nobody(start: Any) -> None:  # noqa: F811
    """They would be the answer to another client's request."""

    async def reply(exchange: Exchange) -> None:
        stray = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother"
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmine" + stray)

    routed = start(answer=reply)
    assert [routed.gateway.http.get(f"{routed.url}/api").text for _ in range(3)] == ["mine"] * 3
    assert routed.service.connections == 3


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_body_that_must_not_be_there_reaches_nobody(start: Any, status: bytes) -> None:  # noqa: F811
    """The connection is not used again."""

    async def reply(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 %b\r\ncontent-length: 5\r\n\r\n" % status, b"stray")

    routed = start(answer=reply)
    for _ in range(2):
        assert routed.gateway.http.get(f"{routed.url}/api").content == b""


def test_tiny_chunks_and_endless_framing_are_bounded(start: Any) -> None:  # noqa: F811
    """Extensions of chunks cost time and carry nothing."""

    async def reply(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await exchange.send(b"1;" + b"x" * 10_000 + b"\r\na\r\n")

    routed = start(answer=reply)
    with connected(routed.url) as connection:
        connection.sendall(GET)
        received = until_closed(connection)
    assert not received.endswith(b"0\r\n\r\n")
    assert len(received) < 1000
