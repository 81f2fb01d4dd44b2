"""A port that forwards bytes to a service, and fails in typical ways if the test says so."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto


class Fault(Enum):
    """What happens to a request in place of a response."""

    REFUSED = auto()
    RESET = auto()
    CLOSED = auto()
    RESET_IN_BODY = auto()
    HANG = auto()
    SLOW_LORIS = auto()
    STATUS_500 = auto()
    STATUS_502 = auto()
    STATUS_504 = auto()
    STATUS_503 = auto()
    STATUS_503_SOON = auto()
    STATUS_429 = auto()
    STATUS_400 = auto()
    STATUS_401 = auto()
    STATUS_403 = auto()
    REDIRECT = auto()
    TRUNCATED_JSON = auto()
    NOT_JSON = auto()
    WRONG_TYPE = auto()
    WRONG_SHAPE = auto()
    NO_HTTP = auto()
    HUGE = auto()
    HUGE_DECLARED = auto()
    GZIP = auto()


def _answer(status: str, body: bytes, *headers: str, content_type: str = "application/json") -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-type: {content_type}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


_PROBLEM = b'{"type":"about:blank","title":"secret-title","status":0,"detail":"secret-detail"}'
_CANNED = {
    Fault.STATUS_500: _answer("500 Internal Server Error", _PROBLEM, content_type="application/problem+json"),
    Fault.STATUS_502: _answer("502 Bad Gateway", b"<html>secret-proxy</html>", content_type="text/html"),
    Fault.STATUS_504: _answer("504 Gateway Timeout", b"<html>secret-proxy</html>", content_type="text/html"),
    Fault.STATUS_503_SOON: _answer("503 Service Unavailable", _PROBLEM, "retry-after: 1"),
    Fault.STATUS_503: _answer(
        "503 Service Unavailable", _PROBLEM, "retry-after: 7", content_type="application/problem+json"
    ),
    Fault.STATUS_429: _answer("429 Too Many Requests", _PROBLEM, "retry-after: 3", content_type="application/problem+json"),
    Fault.STATUS_400: _answer("400 Bad Request", _PROBLEM, content_type="application/problem+json"),
    Fault.STATUS_401: _answer("401 Unauthorized", _PROBLEM, content_type="application/problem+json"),
    Fault.STATUS_403: _answer("403 Forbidden", _PROBLEM, content_type="application/problem+json"),
    Fault.REDIRECT: _answer("302 Found", b"", "location: http://127.0.0.1:9/elsewhere"),
    Fault.TRUNCATED_JSON: _answer("200 OK", b'{"items":[{"id":1,'),
    Fault.NOT_JSON: _answer("200 OK", b"<html>secret-page</html>"),
    Fault.WRONG_TYPE: _answer("200 OK", b'{"items":[]}', content_type="text/html"),
    Fault.WRONG_SHAPE: _answer("200 OK", b'{"entries":"secret-shape"}'),
    Fault.NO_HTTP: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    Fault.GZIP: _answer("200 OK", b"\x1f\x8b\x08\x00", "content-encoding: gzip"),
}


@dataclass(slots=True)
class FaultyPort:
    """A TCP port in front of another. `requests` counts the requests while it failed; `failed` has their bytes."""

    url: str
    _target: int
    _server: asyncio.Server | None = None
    fault_now: Fault | None = None
    requests: int = 0
    failed: list[bytes] = field(default_factory=list)
    custom: Callable[[bytes], bytes | None] | None = None
    """Returns the response to a request; None to never reply."""
    _tasks: "set[asyncio.Task[None]] | None" = None

    @classmethod
    async def open(cls, target: int) -> "FaultyPort":
        """Open it in front of `target`, a local port."""
        port = cls("", target)
        port._tasks = set()
        port._server = await asyncio.start_server(port._serve, "127.0.0.1", 0)
        port.url = f"http://127.0.0.1:{port._server.sockets[0].getsockname()[1]}"
        return port

    @property
    def behind(self) -> str:
        """The URL of the service itself, which doesn't fail."""
        return f"http://127.0.0.1:{self._target}"

    @property
    def fault(self) -> Fault | None:
        """How it fails; None if it forwards."""
        return self.fault_now

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self.fault_now = fault
        self.requests = 0
        self.failed.clear()

    async def close(self) -> None:
        """Close it, and all connections through it."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks or ()):
            task.cancel()
        await asyncio.gather(*(self._tasks or ()), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert self._tasks is not None
        self._tasks.add(task)
        try:
            await self._requests(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                if self.fault_now is Fault.REFUSED:
                    self.requests += 1
                    _reset(writer)  # as close to a refusal as an open port allows: nothing was read
                    return
                request = await _read_message(reader)
                if not request:
                    return
                if self.fault_now is not None or self.custom is not None:
                    self.requests += 1
                    self.failed.append(request)
                    if not await self._fail(request, writer):
                        return
                    continue
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self._target)
                upstream[1].write(request)
                writer.write(await _read_message(upstream[0]))
                await writer.drain()
        finally:
            if upstream is not None:
                upstream[1].close()

    async def _fail(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Handle a request. False if the connection must not be used any more."""
        if self.custom is not None and self.fault_now is None:
            said = self.custom(request)
            if said is None:
                await asyncio.sleep(3600)
                return False
            writer.write(said)
            await writer.drain()
            return True
        fault = self.fault_now
        if fault in _CANNED:
            writer.write(_CANNED[fault])
            await writer.drain()
            return fault is not Fault.NO_HTTP
        if fault is Fault.HANG:
            await asyncio.sleep(3600)
        elif fault is Fault.SLOW_LORIS:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        elif fault is Fault.RESET_IN_BODY:
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"items":[')
            await writer.drain()
            await asyncio.sleep(0.02)
        elif fault in {Fault.HUGE, Fault.HUGE_DECLARED}:
            declared = f"content-length: {800 * 0x10000}" if fault is Fault.HUGE_DECLARED else "transfer-encoding: chunked"
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{declared}\r\n\r\n".encode())
            chunk = b" " * 0x10000 if fault is Fault.HUGE_DECLARED else b"10000\r\n" + b" " * 0x10000 + b"\r\n"
            for _ in range(800):
                writer.write(chunk)
                await writer.drain()
        if fault is not Fault.CLOSED:
            _reset(writer)
        return False


def json_answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A response with this JSON."""
    return _answer(status, body, *headers)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP/1.1 message with a declared length; nothing at the stream's end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if head.startswith(b"HTTP/1.1 304"):
        length = 0
    return head + (await reader.readexactly(length) if length else b"")
