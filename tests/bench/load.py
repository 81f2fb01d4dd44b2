"""The load generator: bare asyncio protocols over keep-alive connections, as light as Python allows.

Reads one job as JSON from standard input and prints one result as JSON. A job with `verify` sends each request once
and compares the whole answer with the expected one; without, it sends `count` requests over `concurrency`
connections, each the next as soon as it has its answer, and checks the status and the length of every answer.
The subject's CPU time is read here, right before the first request and right after the last answer.
It knows nothing of subjects or scenarios, and it never sends a request twice.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import uvloop

from tests.bench.processes import cpu_s, tree
from tests.bench.scenarios import ANY_CURSOR

DEADLINE_S = 300.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a job; `length` is its answer's in bytes, if it is known: else any data without errors will do."""

    body: dict[str, Any]
    token: str | None
    expected: dict[str, Any] | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What to send, where to, how often; `pid` is the subject's."""

    port: int
    path: str
    calls: list[Call]
    pid: int
    verify: bool = False
    count: int = 0
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job: times in seconds; `failure` describes the first of the failures."""

    requests: int
    failures: int
    failure: str | None
    seconds: float
    cpu_s: float
    own_cpu_s: float
    p50_s: float
    p99_s: float
    lengths: list[int]


def wire(path: str, port: int, call: Call) -> bytes:
    """The bytes of a call's HTTP request."""
    content = json.dumps(call.body, separators=(",", ":")).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: application/json",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *([f"Authorization: Bearer {call.token}"] if call.token else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def normalised(value: Any) -> Any:
    """The value with every cursor made the same, if it is one: a text that is not empty."""
    if isinstance(value, dict):
        return {
            name: ANY_CURSOR if name == "cursor" and member and isinstance(member, str) else normalised(member)
            for name, member in value.items()
        }
    return [normalised(member) for member in value] if isinstance(value, list) else value


def difference(content: bytes, expected: dict[str, Any]) -> str | None:
    """How an answer differs from the expected `data`, members' order included; None if it does not."""
    try:
        answer = json.loads(content, parse_int=float)  # 15 and 15.0 are one number in JSON
    except ValueError:
        return f"not JSON: {content[:300]!r}"
    if "errors" in answer:
        return f"errors: {json.dumps(answer['errors'])[:600]}"
    got = json.dumps(normalised(answer.get("data")), ensure_ascii=False)
    want = json.dumps(json.loads(json.dumps(expected), parse_int=float), ensure_ascii=False)
    if got == want:
        return None
    at = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want)))
    begin = max(0, at - 60)
    return f"expected …{want[begin : at + 60]}… but got …{got[begin : at + 60]}…"


class Run:
    """The state of one run: which request is next, what came back."""

    def __init__(self, job: Job, count: int) -> None:
        self._job = job
        self._wires = [wire(job.path, job.port, call) for call in job.calls]
        self._expected_lengths = [call.length for call in job.calls]
        self._count = count
        self._next = 0
        self._pending = count
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lengths = [0] * len(job.calls)
        self.latencies_ns: list[int] = []
        self.failures = 0
        self.failure: str | None = None

    def take(self) -> tuple[int, bytes] | None:
        """The next request's number in the job and its bytes; None when all are sent."""
        if self._next == self._count:
            return None
        index = self._next % len(self._wires)
        self._next += 1
        return index, self._wires[index]

    def done(self, index: int, latency_ns: int, message: bytes, body_at: int) -> None:
        """An answer is complete: check it."""
        self.latencies_ns.append(latency_ns)
        length = len(message) - body_at
        if not message.startswith(b"HTTP/1.1 200 "):
            self._fail(f"{message[:40]!r}: {message[body_at : body_at + 600]!r}")
        elif self._job.verify:
            self.lengths[index] = length
            if wrong := difference(message[body_at:], self._job.calls[index].expected or {}):
                self._fail(wrong)
        elif self._expected_lengths[index] is None:
            if not message.startswith(b'{"data":{', body_at):
                self._fail(f"{message[body_at:][:300]!r}")
        elif length != self._expected_lengths[index]:
            self._fail(f"{length} bytes instead of {self._expected_lengths[index]}: {message[body_at:][:300]!r}")
        self._pending -= 1
        if not self._pending and not self.finished.done():
            self.finished.set_result(None)

    def lost(self, why: str) -> None:
        """A connection is no use any more: that ends the run."""
        if not self.finished.done():
            self.finished.set_exception(ConnectionError(why))

    def _fail(self, why: str) -> None:
        self.failures += 1
        self.failure = self.failure or why


class Connection(asyncio.Protocol):
    """One connection: sends a request, waits for its answer, sends the next."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._index = 0
        self._sent_ns = 0
        self._buffer = b""
        self._body_at = 0
        self._until = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hold the transport; nothing is sent before `begin`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own, no subclass

    def begin(self) -> None:
        """Send the next request, if there is one."""
        if taken := self._run.take():
            assert self._transport is not None
            self._index, data = taken
            self._sent_ns = time.perf_counter_ns()
            self._transport.write(data)

    def data_received(self, chunk: bytes) -> None:
        """Gather the answer; it is complete with as many bytes as it announced."""
        buffer = self._buffer + chunk if self._buffer else chunk
        if not self._until:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            head = buffer[:end].lower()
            at = head.find(b"\r\ncontent-length:")
            if at < 0:
                self._run.lost(f"An answer without Content-Length: {head!r}")
                return
            self._body_at = end + 4
            self._until = self._body_at + int(head[at + 17 :].split(b"\r\n", 1)[0])
        if len(buffer) < self._until:
            self._buffer = buffer
            return
        latency_ns = time.perf_counter_ns() - self._sent_ns
        self._buffer, self._until = b"", 0
        self._run.done(self._index, latency_ns, buffer, self._body_at)
        self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """The subject hung up."""
        self._run.lost(f"The subject closed a connection: {exc!r}")

    def close(self) -> None:
        """Close it from this side."""
        assert self._transport is not None
        self._transport.abort()


async def run(job: Job) -> Result:
    """Do the job. Raises ConnectionError when the subject goes away, TimeoutError after `DEADLINE_S`."""
    count = len(job.calls) if job.verify else job.count
    state = Run(job, count)
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(state), "127.0.0.1", job.port))[1]
        for _ in range(min(job.concurrency, count))
    ]
    pids = tree(job.pid)
    cpu_before, own_before, begin = cpu_s(pids), time.process_time(), time.perf_counter()
    for connection in connections:
        connection.begin()
    async with asyncio.timeout(DEADLINE_S):
        await state.finished
    seconds, cpu, own = time.perf_counter() - begin, cpu_s(pids) - cpu_before, time.process_time() - own_before
    for connection in connections:
        connection.close()
    latencies = sorted(state.latencies_ns)
    return Result(
        requests=count,
        failures=state.failures,
        failure=state.failure,
        seconds=seconds,
        cpu_s=cpu,
        own_cpu_s=own,
        p50_s=latencies[len(latencies) // 2] / 1e9,
        p99_s=latencies[len(latencies) * 99 // 100] / 1e9,
        lengths=state.lengths,
    )


def main() -> None:
    """The process: a job in, a result out."""
    described = json.load(sys.stdin)
    job = Job(**described | {"calls": [Call(**call) for call in described["calls"]]})
    gc.disable()
    json.dump(asdict(uvloop.run(run(job))), sys.stdout)


if __name__ == "__main__":
    main()
