"""A fuzzer of the wire as a whole program: `python -m tests.fuzz.wire --seconds 60 [--seed N]`.

A real server on loopback answers with what `answers.py` makes, in segments, and keeps, closes or resets the connection. The
wire asks it as the gateway does, several requests at once over few connections. Checked:

- whatever comes back is a reply that a strict reader of the same bytes agrees with, or a `WireError`; a reply that is
  strictly good and in bounds is never refused;
- no answer of one request is handed to another: each has a nonce, and each answer is that of its request;
- a request ends with its answer or its time, the event loop is not held, no connection is lost count of, memory is flat;
- however the same bytes are cut into segments, the outcome is the same.
"""

import argparse
import asyncio
import contextlib
import gc
import resource
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, cast

import uvloop

from bff.upstream.wire import WireError, WireOptions, WireReply, WireRequest
from bff.upstream.wire.asyncio_wire import AsyncioWire
from bff.upstream.wire.connection import ServiceConnection
from tests.fuzz.answers import LIMIT_BYTES, Answer, Incomplete, Malformed, OutOfBounds, make_answer, read_strictly
from tests.support.background import Background

TIMEOUT_S = 0.25
"""For answers that never end; all others are there long before."""
PATIENCE_S = 20.0
AT_ONCE = 8


class Difference(Exception):
    """The wire did what it must not."""


@dataclass(frozen=True, slots=True)
class Case:
    """What one request meets. `end`: what the server does after the last segment."""

    nonce: bytes
    data: bytes
    segments: tuple[bytes, ...]
    end: str
    expected: Answer | type[Exception]
    """What the strict reader says."""


def make_case(rng: Random, number: int) -> Case:
    """The case of that number."""
    nonce = b"n-%08x-%06d" % (rng.getrandbits(32), number)
    data = make_answer(rng, nonce)
    end = rng.choice(["keep"] * 6 + ["close"] * 3 + ["reset"])
    expected = _expected(data, end)
    if end == "keep" and expected is Incomplete and rng.random() < 0.95:
        end = "close"  # most of those that never end are not waited for
        expected = _expected(data, end)
    return Case(nonce, data, _cut(rng, data), end, expected)


def _expected(data: bytes, end: str) -> Answer | type[Exception]:
    try:
        return read_strictly(data, closed=end == "close")
    except (Malformed, Incomplete, OutOfBounds) as error:
        return type(error)


def _cut(rng: Random, data: bytes) -> tuple[bytes, ...]:
    cuts = sorted({rng.randint(0, len(data)) for _ in range(rng.choice([0, 0, 1, 3, 10]))})
    return tuple(data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end)


def judge(case: Case, outcome: "WireReply | WireError | TimeoutError", *, is_usable: bool = False) -> str:
    """What kind of outcome it is. Raises `Difference`."""
    expected = case.expected
    if isinstance(outcome, WireReply):
        if not isinstance(expected, Answer):
            raise Difference(f"taken, though {expected.__name__}: {outcome!r}")
        if (outcome.status, dict(outcome.headers), outcome.body) != (expected.status, expected.headers, expected.body):
            raise Difference(f"read as {outcome!r}, and strictly as {expected!r}")
        if is_usable and expected.is_last:
            raise Difference("the connection would be used again")
        return "reply"
    if isinstance(expected, Answer) and case.end != "reset" and not expected.may_be_refused:
        raise Difference(f"refused with {outcome!r}, though {expected!r}")
    if isinstance(outcome, TimeoutError):
        if case.end != "keep":
            raise Difference(f"waited for more of an answer after the connection had ended: {expected}")
        return "timeout"
    return type(outcome).__name__


# over sockets


@dataclass(slots=True)
class Server:
    """Answers each request with the case of its nonce."""

    cases: dict[bytes, Case] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    """Requests that came. One that goes out on a connection that ends just then never does, and may fail."""
    port: int = 0
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                case = self.cases[head.split(b" ", 2)[1].removeprefix(b"/")]
                self.seen.add(case.nonce)
                for segment in case.segments:
                    writer.write(segment)
                    await writer.drain()
                    await asyncio.sleep(0)
                if case.end == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                if case.end != "keep":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen while the context is open."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()


class Watch:
    """Measures how long the loop was held, in seconds of this thread's processor, so that a busy machine is no finding.

    Garbage collections are left out, as nearly all the garbage is the fuzzer's; and so is what it does itself.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._excluded_s = 0.0
        self._is_excluding = False
        self._collecting_since = 0.0
        self._thread = threading.get_ident()
        self._task = asyncio.ensure_future(self._run())
        gc.callbacks.append(self._on_collection)

    def _on_collection(self, phase: str, _: dict[str, int]) -> None:
        if self._is_excluding or threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            self._excluded_s += time.thread_time() - self._collecting_since

    @contextlib.contextmanager
    def excluding(self) -> Iterator[None]:
        """Leave out what is done in the context."""
        began = time.thread_time()
        self._is_excluding = True
        yield
        self._is_excluding = False
        self._excluded_s += time.thread_time() - began

    async def _run(self) -> None:
        await asyncio.sleep(0)
        last = time.thread_time() - self._excluded_s
        while True:
            await asyncio.sleep(0)
            now = time.thread_time() - self._excluded_s
            self.longest_s = max(self.longest_s, now - last)
            last = now

    async def stop(self) -> None:
        """End it."""
        gc.callbacks.remove(self._on_collection)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def ask(wire: AsyncioWire, server: Server, case: Case) -> str:
    """One request, and what kind of outcome it had. Raises `Difference`."""
    server.cases[case.nonce] = case
    url = f"http://127.0.0.1:{server.port}/{case.nonce.decode()}"
    outcome: WireReply | WireError | TimeoutError
    try:
        # Only what never ends is cut off: all else has as much time as a busy machine may need.
        never_ends = case.end == "keep" and not isinstance(case.expected, Answer)
        async with asyncio.timeout(TIMEOUT_S if never_ends else PATIENCE_S):
            outcome = await wire.send(WireRequest("GET", url, ()), max_response_bytes=LIMIT_BYTES)
    except (WireError, TimeoutError) as error:
        outcome = error
    finally:
        del server.cases[case.nonce]
    was_seen = case.nonce in server.seen
    server.seen.discard(case.nonce)
    if not was_seen and isinstance(outcome, WireError):
        return "not sent"
    return judge(case, outcome)


async def over_sockets(rng: Random, server: Server, *, until: float, most: int, hold_s: float) -> Counter[str]:
    """Cases over real sockets, several at once, until a time or a number of cases. Raises `Difference`."""
    wire = AsyncioWire(WireOptions(max_connections=4))
    watch = Watch()
    kinds: Counter[str] = Counter()
    left = most

    found: list[str] = []

    async def worker() -> None:
        nonlocal left
        while left > 0 and time.monotonic() < until and not found:
            left -= 1
            with watch.excluding():
                case = make_case(rng, left)
                if not isinstance(case.expected, Answer) or case.expected.is_last:
                    # Bytes that nobody asked for come at once: of those that come later, and meet the next request on the
                    # connection, no reader of HTTP/1.1 could know whose they are.
                    case = replace(case, segments=(case.data,))
            held_s = watch.longest_s
            try:
                kinds[await ask(wire, server, case)] += 1
            except Difference as difference:
                found.append(f"{difference}\n{case!r}")
            if watch.longest_s > max(held_s, hold_s):
                found.append(f"the loop was held for {watch.longest_s:.3f} s by one of those around\n{case!r}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
    if found:
        raise Difference(found[0])
    await watch.stop()
    counted = (wire._open, len(wire._busy), len(wire._waiting))
    if counted != (len(wire._idle), 0, 0) or wire._open > 4:
        raise Difference(f"connections open, busy, waited for: {counted}, {len(wire._idle)} idle")
    await wire.aclose()
    if wire._open:
        raise Difference(f"{wire._open} connections are counted after the end")
    kinds["longest hold, µs"] = int(watch.longest_s * 1e6)
    return kinds


# in memory


class _Transport:
    """Takes what is written, and does nothing."""

    is_reading = True
    is_closed = False

    def write(self, _: bytes) -> None:
        """Take it."""

    def abort(self) -> None:
        """Close it."""
        self.is_closed = True

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.is_closed

    def pause_reading(self) -> None:
        """Hold back what comes."""
        self.is_reading = False

    def resume_reading(self) -> None:
        """Hand on what comes."""
        self.is_reading = True


async def read_in_segments(case: Case, segments: tuple[bytes, ...]) -> "tuple[WireReply | WireError | TimeoutError, bool]":
    """What a connection makes of those segments, and whether it may be used again."""
    connection = ServiceConnection(("http", "test"))
    transport = _Transport()
    connection.connection_made(cast("Any", transport))
    exchange = asyncio.ensure_future(connection.exchange(b"", LIMIT_BYTES))
    await asyncio.sleep(0)
    for segment in segments:
        while not transport.is_reading:  # noqa: ASYNC110 - the connection reads on in the next turn
            await asyncio.sleep(0)
        if transport.is_closed:
            break
        connection.data_received(segment)
    if case.end == "close" and not transport.is_closed:
        connection.eof_received()
    if transport.is_closed or case.end != "keep":
        connection.connection_lost(None)
    is_usable = connection.is_usable
    if not exchange.done():
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    if not exchange.done():
        exchange.cancel()
        await asyncio.gather(exchange, return_exceptions=True)
        return TimeoutError(), False
    error = exchange.exception()
    if error is None:
        return exchange.result(), is_usable
    if not isinstance(error, WireError):
        raise Difference(f"{error!r} is no error of the wire's")
    return error, is_usable


async def in_memory(rng: Random, *, until: float, most: int) -> Counter[str]:
    """Cases without sockets, each cut in several ways, short ones at every byte. Raises `Difference`."""
    kinds: Counter[str] = Counter()
    for number in range(most):
        if time.monotonic() > until:
            break
        case = make_case(rng, number)
        cuts = [(case.data,), case.segments, _cut(rng, case.data)]
        if len(case.data) < 1500:
            cuts.append(tuple(case.data[at : at + 1] for at in range(len(case.data))))
        outcomes = []
        for segments in cuts:
            outcome, is_usable = await read_in_segments(case, segments)
            try:
                kinds[judge(case, outcome, is_usable=is_usable)] += 1
            except Difference as difference:
                raise Difference(f"{difference}\n{segments!r}, then {case.end}") from None
            # Not whether it may be used again: empty lines after an answer end a connection that is idle by then.
            reply = outcome if isinstance(outcome, WireReply) else None
            outcomes.append(reply and (reply.status, dict(reply.headers), reply.body))
        # The bounds are looked at after each slice, so that an answer at a bound may be taken or refused.
        is_at_a_bound = isinstance(case.expected, Answer) and case.expected.may_be_refused
        if not is_at_a_bound and any(each != outcomes[0] for each in outcomes):
            raise Difference(f"another outcome by other segments: {cuts!r}, then {case.end}")
    return kinds


def fuzz(seed: int, *, seconds: float, most: int, hold_s: float) -> Counter[str]:
    """Both ways, for a number of seconds or cases each. Raises `Difference`."""
    background = Background()
    server = Server()
    background.enter(server.running())
    half_s = seconds / 2
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            kinds = runner.run(in_memory(Random(seed), until=time.monotonic() + half_s, most=most))
            until = time.monotonic() + half_s
            kinds += runner.run(over_sockets(Random(seed + 1), server, until=until, most=most, hold_s=hold_s))
    finally:
        background.close()
    if server.connections:
        raise Difference(f"{server.connections} connections are open after the end")
    return kinds


def main() -> int:
    """Fuzz for a while, in rounds of ten seconds with a seed each, and say what was met."""
    parser = argparse.ArgumentParser(description="Fuzz the wire.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    total: Counter[str] = Counter()
    began, seed = time.monotonic(), options.seed
    while (left_s := options.seconds - (time.monotonic() - began)) > 0:
        try:
            kinds = fuzz(seed, seconds=min(10.0, left_s), most=1_000_000, hold_s=0.05)
        except Difference as difference:
            print(f"seed {seed}: {str(difference)[:6000]}")  # noqa: T201
            return 1
        longest = max(total.pop("longest hold, µs", 0), kinds.pop("longest hold, µs", 0))
        total += kinds
        total["longest hold, µs"] = longest
        seed += 2
        gc.collect()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{time.monotonic() - began:.0f} s, seed {seed}, {peak} MiB at most: {dict(total)}", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
