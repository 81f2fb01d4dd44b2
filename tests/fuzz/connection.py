"""Fuzzes clients' connections: streams of requests by a grammar, mutated, in random segments; read by us and by h11.

`python -m tests.fuzz.connection --seconds 60` runs `bff.server.connection.ClientConnection` over a transport that only
notes what is written, in front of an application that notes what it is asked. What it must be asked is decided by another
implementation of HTTP/1.1: the requests that both read must be the same, byte by byte, and a body, a trailer or what
follows an offer to upgrade must never be a request of its own.
"""

import argparse
import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.server import ServerState

from bff.server.connection import ClientConnection, ConnectionOptions, ServerConfig

_OPTIONS = ConnectionOptions(head_bytes=4096, headers=30)
_LARGEST_BODY = 64 * 1024
_LONGEST_HELD_S = 0.25
"""Looked at by the command alone: other processes share the machine, and no test depends on its speed."""

_ABSOLUTE = re.compile(rb"[A-Za-z]+://[^/?]*")

Request = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]
"""Method, target, headers but for those of the connection, and body."""

_NOT_COMPARED = frozenset({b"connection", b"upgrade", b"transfer-encoding"})


class _Transport(asyncio.Transport):
    """Notes what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_closed = False
        self.is_paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def write(self, data: Any) -> None:
        if not self.is_closed:
            self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever full."""


@dataclass
class Read:
    """What an implementation read of a stream. `fault` is why it stopped, empty where it did not."""

    requests: list[Request] = field(default_factory=list)
    fault: str = ""
    answers: bytes = b""
    held_s: float = 0.0


async def read_by_us(segments: list[bytes]) -> Read:
    """The stream as the gateway reads it."""
    read = Read()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        headers = [each for each in scope["headers"] if each[0] not in _NOT_COMPARED]
        read.requests.append((scope["method"].encode(), scope["raw_path"] + query, headers, body))
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = ServerConfig(app, _OPTIONS, ws="none", lifespan="off", access_log=False, log_config=None)
    config.load()
    config.loaded_app = app
    state = ServerState()
    transport = _Transport()
    connection = ClientConnection(config, state, {}, asyncio.get_running_loop())
    connection.connection_made(transport)
    for segment in segments:
        for _ in range(1000):
            if not transport.is_paused:
                break
            await asyncio.sleep(0)
        began = time.perf_counter()
        connection.data_received(segment)
        read.held_s = max(read.held_s, time.perf_counter() - began)
    for _ in range(20_000):
        await asyncio.sleep(0)
        if not state.tasks or (connection.is_idle and not connection.pipeline):
            break
        if connection.cycle is not None and connection.cycle.more_body and not connection.pipeline:
            break  # it waits for the rest of a body that never comes
    else:
        read.fault = "hangs"
    if transport.is_closed:
        read.fault = read.fault or "closed"
    connection.connection_lost(None)
    await asyncio.gather(*state.tasks, return_exceptions=True)
    read.answers = bytes(transport.written)
    return read


def read_by_h11(stream: bytes) -> Read:
    """The stream as another implementation reads it."""
    read = Read()
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=_OPTIONS.head_bytes)
    reader.receive_data(stream)
    method = target = body = b""
    headers: list[tuple[bytes, bytes]] = []
    try:
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                return read
            if event is h11.PAUSED:
                # An offer to upgrade is not taken up: after the answer the connection goes on.
                reader.start_next_cycle()
            elif isinstance(event, h11.Request):
                method, target, body = event.method, event.target, b""
                headers = [(name, value) for name, value in event.headers if name not in _NOT_COMPARED]
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                read.requests.append((method, _ABSOLUTE.sub(b"", target) or b"/", headers, body))
                reader.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                reader.send(h11.EndOfMessage())
                if reader.our_state is h11.MUST_CLOSE:
                    read.fault = "closed"
                    return read
                reader.start_next_cycle()
            else:
                return read
    except h11.ProtocolError as error:
        read.fault = str(error)
        return read


# The grammar

_METHODS = [
    b"GET",
    b"POST",
    b"POST",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"PRI",
    b"get",
    b"M-SEARCH",
]
_TARGETS = [b"/web/graphql", b"/health", b"/", b"*", b"http://x/web/graphql", b"/a b", b"/%2e", b"//", b"x:80"]
_VERSIONS = [b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 "]
_ODD = [
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding\x00: chunked",
    b"X: 1\r\n chunked",
    b"Content-Length: 0",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 0x5",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length: -1",
    b"Content-Length : 5",
    b"Host: y",
    b"X-Padded: \t 1 \t ",
    b"Expect: 100-continue",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Transfer-Encoding",
    b"Connection: Content-Length",
    b"X-Long: " + b"a" * 5000,
    b"\x80\x81: 1",
    b": 1",
    b"X",
]
_OFFERS = [b"Upgrade: h2c", b"Upgrade: websocket", b"Upgrade: foo", b"Upgrade: h2c, foo/2"]
_CONNECTIONS = [b"Connection: Upgrade", b"Connection: upgrade, HTTP2-Settings", b"Connection: keep-alive, Upgrade"]
_TRAILERS = [b"Authorization: Bearer t", b"X-Forwarded-For: 1.2.3.4", b"Content-Length: 5", b"Host: z", b"Upgrade: foo"]


def _inner(rng: random.Random, nonce: int) -> bytes:
    """Something that reads as a request, and is none."""
    return b"GET /inner%d HTTP/1.1\r\nHost: i\r\n\r\n" % nonce * rng.choice([1, 1, 2])


def _chunked(rng: random.Random, body: bytes) -> bytes:
    out = b""
    position = 0
    while position < len(body):
        size = rng.choice([1, 3, 10, len(body)])
        piece = body[position : position + size]
        extension = rng.choice([b"", b"", b"", b";a", b";a=b", b';a="b"', b" ;x", b";" + b"e" * 200])
        out += rng.choice([b"%x", b"%X", b"0%x"]) % len(piece) + extension + b"\r\n" + piece + b"\r\n"
        position += size
    trailers = b"".join(each + b"\r\n" for each in rng.sample(_TRAILERS, rng.choice([0, 0, 1, 3])))
    return out + rng.choice([b"0", b"0", b"000", b"0;x"]) + b"\r\n" + trailers + b"\r\n"


def request(rng: random.Random, nonce: int) -> bytes:
    """One request, most often a good one."""
    method = rng.choice(_METHODS[:6]) if rng.random() < 0.85 else rng.choice(_METHODS)
    target = b"/outer%d" % nonce if rng.random() < 0.9 else rng.choice(_TARGETS)
    lines = [method + b" " + target + b" " + (b"HTTP/1.1" if rng.random() < 0.9 else rng.choice(_VERSIONS))]
    lines += [b"Host: x"] * rng.choice([1] * 18 + [0, 2])
    body = rng.choice(
        [b"", b"", _inner(rng, nonce), b"{}", b"\r\n" * 50 + _inner(rng, nonce), b"a" * rng.choice([10, 5000])]
    )
    sent = body
    if rng.random() < 0.4:
        lines.append(rng.choice([b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked"]))
        sent = _chunked(rng, body)
    elif body:
        lines.append(b"Content-Length: %d" % len(body))
    if rng.random() < 0.3:
        lines += [rng.choice(_CONNECTIONS), rng.choice(_OFFERS)]
    if rng.random() < 0.15:
        lines += rng.sample(_ODD, rng.choice([1, 1, 2]))
    if rng.random() < 0.02:
        lines += [b"X-%d: 1" % number for number in range(40)]
    first, rest = lines[0], lines[1:]
    rng.shuffle(rest)
    end = b"\r\n" if rng.random() < 0.97 else b"\n"
    return end.join([first, *rest, b"", b""]) + sent


def stream(rng: random.Random) -> bytes:
    """Some requests, one behind another; now and then with a few bytes changed."""
    out = bytearray(b"".join(request(rng, number) for number in range(rng.choice([1, 1, 2, 3, 5]))))
    if rng.random() < 0.3:
        for _ in range(rng.choice([1, 1, 2, 5])):
            place = rng.randrange(len(out))
            change = rng.randrange(4)
            if change == 0:
                out[place] = rng.choice(b"\r\n\t \x00\x0b:;,0159aAzZ\x7f\x80\xff")
            elif change == 1:
                del out[place : place + rng.choice([1, 1, 2, 20])]
            elif change == 2:
                out[place:place] = rng.choice([b"\r\n", b"\n", b" ", b"\x00", b"0", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
            else:
                out[place:place] = bytes(out[place : place + 30])
            if not out:
                return b"\r\n"
    return bytes(out)


def segments_of(rng: random.Random, whole: bytes) -> list[bytes]:
    """The stream in pieces."""
    kind = rng.randrange(4)
    if kind == 0:
        return [whole]
    if kind == 1 and len(whole) < 3000:
        return [whole[place : place + 1] for place in range(len(whole))]
    places = sorted(rng.sample(range(len(whole) + 1), min(rng.choice([1, 2, 5, 20]), len(whole))))
    return [piece for start, end in zip([0, *places], [*places, len(whole)], strict=True) if (piece := whole[start:end])]


_LENIENT = ("no request line received", "illegal request line: bytearray")
"""Empty lines before a request, and several blanks in its first line: read over, as RFC 9112 allows (sections 2.2 and 3)."""


def fault_of(whole: bytes, ours: Read, theirs: Read) -> str | None:
    """What is wrong with our reading; None where nothing is."""
    if ours.fault == "hangs":
        return "hangs"
    for number, (one, other) in enumerate(zip(ours.requests, theirs.requests, strict=False)):
        if one != other:
            return f"request {number} is read as {one!r:.200}, by h11 as {other!r:.200}"
    if len(ours.requests) > len(theirs.requests) and not theirs.fault.startswith(_LENIENT):
        return f"reads {len(ours.requests)} requests, h11 {len(theirs.requests)} ({theirs.fault or 'waits'})"
    if ours.answers.count(b"HTTP/1.1 200") > len(ours.requests):
        return "more answers than requests"
    return None


@dataclass
class Report:
    """How a run went."""

    runs: int = 0
    requests: int = 0
    slowest_s: float = 0.0
    stricter: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str, bytes]] = field(default_factory=list)


async def fuzz(seed: int, runs: int | None = None, seconds: float | None = None) -> Report:
    """Run a number of streams, or for a number of seconds."""
    report = Report()
    until = time.monotonic() + (seconds or 0)
    while (report.runs < runs) if runs is not None else (time.monotonic() < until):
        number = seed * 1_000_000_007 + report.runs
        rng = random.Random(number)
        whole = stream(rng)
        ours, theirs = await read_by_us(segments_of(rng, whole)), read_by_h11(whole)
        report.runs += 1
        report.requests += len(ours.requests)
        report.slowest_s = max(report.slowest_s, ours.held_s)
        fault = fault_of(whole, ours, theirs)
        if fault is not None:
            report.faults.append((number, fault, whole))
        elif len(ours.requests) < len(theirs.requests):
            report.stricter[ours.answers[-300:].split(b"message")[-1][:60].decode("latin-1") or ours.fault] += 1
    return report


def lines_of(report: Report) -> Iterator[str]:
    """The report for people."""
    yield f"{report.runs} streams, {report.requests} requests; at most {report.slowest_s * 1000:.1f} ms a segment"
    for why, number in report.stricter.most_common(10):
        yield f"  read less than h11 {number} times: {why}"
    for number, fault, whole in report.faults[:10]:
        yield f"  seed {number}: {fault}\n    {whole[:600]!r}"


def main() -> None:
    """Run it; exit with 1 where something is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    report = asyncio.run(fuzz(options.seed, seconds=options.seconds))
    print(f"seed {options.seed}", *lines_of(report), sep="\n")  # noqa: T201 - its figures
    if report.faults or report.slowest_s > _LONGEST_HELD_S:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
