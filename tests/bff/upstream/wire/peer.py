"""An HTTP server for one test, on a real local socket. It handles each request as the test says."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]
PATIENCE_S = 30


class Peer:
    """Records its requests. `acts` are taken one for each request, the last one for all further ones."""

    def __init__(self) -> None:
        self.acts: list[Act] = [say(response())]
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._over: asyncio.Queue[None] = asyncio.Queue()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def heads(self) -> list[str]:
        """The first line of each request."""
        return [request.partition(b"\r\n")[0].decode() for request in self.requests]

    async def gone(self) -> None:
        """Wait until a connection has ended on this side too: one for each time this is awaited."""
        await asyncio.wait_for(self._over.get(), PATIENCE_S)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while not writer.is_closing() and (request := await _read_request(reader)):
                self.requests.append(request)
                act = asyncio.ensure_future(self._act(writer))
                over = asyncio.ensure_future(_until_closed(reader, writer))
                await asyncio.wait({act, over}, return_when=asyncio.FIRST_COMPLETED)
                for task in (act, over):
                    task.cancel()
                await asyncio.gather(act, over, return_exceptions=True)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._over.put_nowait(None)

    async def _act(self, writer: asyncio.StreamWriter) -> None:
        await (self.acts.pop(0) if len(self.acts) > 1 else self.acts[0])(writer)


async def _until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait until the other side closes. Reads nothing, since the next bytes may be a request."""
    while not reader.at_eof() and not writer.is_closing() and reader.exception() is None:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """One request; nothing if the connection ends before."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + (await reader.readexactly(int(length[0].partition(b":")[2])) if length else b"")
    except asyncio.IncompleteReadError:
        return b""


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """A peer on a port of its own; with TLS if there is a context."""
    peer = Peer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(peer.serve(reader, writer))
        tasks.add(task)
        await asyncio.wait({task})

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def moments() -> None:
    """Some turns of the event loop, each of which polls the sockets: what was sent locally has been read by then."""
    for _ in range(5):
        await asyncio.sleep(0.005)


def response(body: bytes = b"{}", *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A response as bytes. Its declared length may be wrong."""
    declared = f"content-length: {len(body) if length is None else length}"
    return "\r\n".join([f"HTTP/1.1 {status}", declared, *headers, "", ""]).encode("latin-1") + body


def say(what: bytes, then: Callable[[asyncio.StreamWriter], object] | None = None) -> Act:
    """Send these bytes; then keep the connection, or end it as given."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(what)
        await writer.drain()
        if then is not None:
            if what:
                await moments()  # so that they arrive, and before the end of the connection does
            then(writer)

    return act


def close(writer: asyncio.StreamWriter) -> None:
    """Close the connection regularly."""
    writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def wait_for_ever(_: asyncio.StreamWriter) -> None:
    """Send nothing more."""
    await asyncio.get_running_loop().create_future()


class Flood:
    """Sends a head and then an endless body; `sent` counts the body's bytes."""

    def __init__(self, head: bytes, chunk: bytes) -> None:
        self._head, self._chunk = head, chunk
        self.sent = 0

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._head)
        while True:
            writer.write(self._chunk)
            await writer.drain()
            self.sent += len(self._chunk)
