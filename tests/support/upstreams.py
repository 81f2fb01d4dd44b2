"""A service on a raw socket: it records what arrives, and its answers are written byte by byte by the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[["Exchange"], Awaitable[None]]


@dataclass(slots=True)
class Exchange:
    """One request. `head` is the request line and the headers; the body is still to be read from `reader`."""

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def line(self) -> str:
        """The request line."""
        return self.head.split(b"\r\n")[0].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names in lower case, and values, in order."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]

    def header(self, name: str) -> str | None:
        """The values of a header, joined; None if it is not there."""
        return ", ".join(value for key, value in self.headers if key == name) or None

    async def body(self) -> bytes:
        """The rest of the request."""
        if self.header("transfer-encoding") == "chunked":
            found = b""
            while size := int(await self.reader.readline(), 16):
                found += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
            return found
        return await self.reader.readexactly(int(self.header("content-length") or 0))

    async def send(self, *parts: bytes) -> None:
        """Write these bytes, and wait while the gateway doesn't read."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()


@dataclass(slots=True)
class RawService:
    """The service. `requests` are the heads that arrived; `closed` counts connections that the gateway has closed."""

    url: str
    answer: Answer
    requests: list[Exchange] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while True:
                exchange = Exchange(await reader.readuntil(b"\r\n\r\n"), reader, writer)
                self.requests.append(exchange)
                await self.answer(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed += 1
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()


async def echo(exchange: Exchange) -> None:
    """Answer 200 with the request's body."""
    body = await exchange.body()
    await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body), body)


@asynccontextmanager
async def raw_service(answer: Answer = echo) -> AsyncIterator[RawService]:
    """A running service."""
    service = RawService("", answer)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, limit=1024 * 1024)
    host, port = server.sockets[0].getsockname()
    service.url = f"http://{host}:{port}"
    try:
        yield service
    finally:
        server.close()
