"""Streams over both wires and real local sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bff.upstream.wire import (
    BrokenAnswer,
    ConnectionBroken,
    NotConnected,
    StreamingWire,
    StreamReply,
    StreamRequest,
    Unsendable,
    WireOptions,
    WireRequest,
)
from bff.upstream.wire.asyncio_wire import AsyncioWire
from bff.upstream.wire.httpx_wire import HttpxWire
from tests.support.upstreams import Answer, Exchange, RawService, echo, raw_service

PATIENCE_S = 30
OPTIONS = WireOptions(max_connections=2)


@pytest.fixture(params=[AsyncioWire, HttpxWire])
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[StreamingWire]:
    """Each wire in turn."""
    make: Callable[[WireOptions], StreamingWire] = request.param
    made = make(OPTIONS)
    assert isinstance(made, StreamingWire)
    yield made
    await made.aclose()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """A body."""
    for part in parts:
        yield part


async def whole(reply: StreamReply) -> bytes:
    """The whole body."""
    found = b""
    while piece := await asyncio.wait_for(reply.read(), PATIENCE_S):
        found += piece
    await reply.aclose()
    return found


def request(service: RawService, method: str = "GET", body: AsyncIterator[bytes] | None = None) -> StreamRequest:
    """A request for `/x`."""
    return StreamRequest(method, f"{service.url}/x", ((b"x-mine", b"1"),), body)


def saying(*parts: bytes) -> Answer:
    """Answers with these bytes."""

    async def answer(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(*parts)

    return answer


async def test_bodies_pass_both_ways(wire: StreamingWire) -> None:
    """And the connection is used again."""
    async with raw_service() as service:
        for _ in range(2):
            reply = await wire.stream(request(service, "POST", pieces(b"a", b"", b"bc")))
            assert (reply.status, await whole(reply)) == (200, b"abc")
        assert service.connections == 1
        assert service.requests[0].header("transfer-encoding") == "chunked"


async def test_a_known_length_is_declared(wire: StreamingWire) -> None:
    """The body is not chunked then."""
    async with raw_service() as service:
        reply = await wire.stream(StreamRequest("PUT", f"{service.url}/x", (), pieces(b"ab", b"c"), 3))
        assert await whole(reply) == b"abc"
        assert service.requests[0].header("content-length") == "3"


async def test_headers_stay_as_they_are(wire: StreamingWire) -> None:
    """Repeated ones stay repeated, and bytes that are not ASCII pass."""
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\nx-name: \xe4\r\ncontent-length: 0\r\n\r\n"
    async with raw_service(saying(head)) as service:
        reply = await wire.stream(StreamRequest("GET", f"{service.url}/x", ((b"x-a", b"\xe4"), (b"x-a", b"2"))))
        assert await whole(reply) == b""
        assert [each for each in reply.headers if each[0] != b"content-length"] == [
            (b"set-cookie", b"a=b"),
            (b"set-cookie", b"c=d"),
            (b"x-name", b"\xe4"),
        ]
        assert [value for name, value in service.requests[0].headers if name == "x-a"] == ["ä", "2"]


async def test_head_has_no_body(wire: StreamingWire) -> None:
    """Whatever its head declares."""
    answer = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
    async with raw_service(answer) as service:
        for _ in range(2):
            assert await whole(await wire.stream(request(service, "HEAD"))) == b""
        assert service.connections == 1


async def test_a_break_is_told_apart_from_an_end(wire: StreamingWire) -> None:
    """A truncated body is no body."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        exchange.writer.close()

    async with raw_service(answer) as service:
        reply = await wire.stream(request(service))
        with pytest.raises(BrokenAnswer):
            await whole(reply)
        await reply.aclose()


async def test_a_break_before_the_head(wire: StreamingWire) -> None:
    """The request may or may not have been executed."""

    async def answer(exchange: Exchange) -> None:
        exchange.writer.close()

    async with raw_service(answer) as service:
        with pytest.raises(ConnectionBroken):
            await wire.stream(request(service))


async def test_nobody_there(wire: StreamingWire) -> None:
    """Nothing was sent."""
    with pytest.raises(NotConnected):
        await wire.stream(StreamRequest("GET", "http://127.0.0.1:9/x", ()))


async def test_what_the_body_raises_is_raised(wire: StreamingWire) -> None:
    """And the service never sees the body's end."""

    class Gone(Exception):
        pass

    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        raise Gone

    async with raw_service() as service:
        with pytest.raises(Gone):
            await wire.stream(request(service, "POST", body()))
        assert await whole(await wire.stream(request(service))) == b""  # the place of the connection is free again
        assert service.connections == 2


async def test_a_stream_that_is_left_closes_its_connection(wire: StreamingWire) -> None:
    """What is left of it can't be the answer to another request."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")

    async with raw_service(answer) as service:
        for _ in range(4):
            reply = await wire.stream(request(service))
            assert await reply.read() == b"abc"
            await reply.aclose()
            await reply.aclose()
        assert service.connections == 4


async def test_a_cancelled_wait_for_the_head_frees_the_place(wire: StreamingWire) -> None:
    """More often than there are connections."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reader.read()

    async with raw_service(answer) as service:
        for number in range(4):
            waiting = asyncio.ensure_future(wire.stream(request(service)))
            while len(service.requests) <= number:  # noqa: ASYNC110 - the service has no event for it
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting


@pytest.mark.parametrize(
    "header", [(b"x\r\ny", b"1"), (b"x", b"1\r\nhost: y"), (b"x", b"1\ny"), (b"x y", b"1"), (b"x", b"\0")]
)
async def test_no_header_adds_another(header: tuple[bytes, bytes]) -> None:
    """A line break would."""
    async with raw_service() as service:
        wire = AsyncioWire(OPTIONS)
        with pytest.raises(Unsendable):
            await wire.stream(StreamRequest("GET", f"{service.url}/x", (header,)))
        assert not service.requests
        await wire.aclose()


async def test_reading_stops_while_nobody_takes_what_was_read() -> None:
    """And goes on afterwards, to the end."""
    size = 32 * 1024 * 1024
    sent = 0

    async def answer(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            await exchange.send(bytes(65536))
            sent += 65536

    async with raw_service(answer) as service:
        wire = AsyncioWire(OPTIONS)
        reply = await wire.stream(request(service))
        before = -1
        while sent != before:
            before = sent
            for _ in range(2000):
                await asyncio.sleep(0)
        assert sent < size / 2
        assert len(await whole(reply)) == size
        await wire.aclose()


async def test_an_early_answer_ends_the_body() -> None:
    """Its connection is not used again."""
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(65536)
            await asyncio.sleep(0)

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno")
        await exchange.reader.read()

    async with raw_service(answer) as service:
        wire = AsyncioWire(OPTIONS)
        reply = await wire.stream(request(service, "POST", body()))
        assert (reply.status, await whole(reply)) == (403, b"no")
        before = taken
        for _ in range(100):
            await asyncio.sleep(0)
        assert taken == before
        await wire.aclose()


async def test_a_plain_call_follows_a_stream_on_the_same_connection() -> None:
    """Streams and calls share the pool."""
    async with raw_service(echo) as service:
        wire = AsyncioWire(OPTIONS)
        for _ in range(2):
            assert await whole(await wire.stream(request(service, "POST", pieces(b"abc")))) == b"abc"
            plain = await wire.send(WireRequest("POST", f"{service.url}/x", (), b"hi"), max_response_bytes=100)
            assert plain.body == b"hi"
        assert service.connections == 1
        await wire.aclose()
