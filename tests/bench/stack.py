"""What the policies around a call cost by themselves: `python -m tests.bench.stack`.

The wire below answers at once, so that nothing but the stack is timed: CPU seconds of this process by call, over many calls
one after the other, the best of several rounds. What the same answer costs without the stack is taken off.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar

import msgspec
import uvloop

from bff.upstream.caller import Caller, Deadline, Identity
from bff.upstream.traffic.balance import InstanceOptions
from bff.upstream.traffic.call import ID, Call, RequestedKeys, request_headers
from bff.upstream.traffic.stack import Stack, TrafficOptions
from bff.upstream.wire import WireReply, WireRequest

CALLS = 20_000
ROUNDS = 7
TURN = 50
ONE = InstanceOptions("http://127.0.0.1:1")
TWO = (ONE, InstanceOptions("http://127.0.0.1:2"))
USER = b'{"id":1,"name":"User 1","email":"user1@example.com","tier":"plus","createdAt":"2026-01-01T00:01:00Z"}'
decode = msgspec.json.Decoder().decode


class InstantWire:
    """Answers at once."""

    NO_STORE: ClassVar["InstantWire"]
    PUBLIC: ClassVar["InstantWire"]

    def __init__(self, **headers: str) -> None:
        named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        self._reply = WireReply(200, named, USER)

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """The user."""
        return self._reply

    async def aclose(self) -> None:
        """Nothing is open."""


InstantWire.NO_STORE = InstantWire(cache_control="no-store")
InstantWire.PUBLIC = InstantWire(cache_control="public, max-age=3600")


def make_caller(number: int) -> Caller:
    """A request's caller."""
    return Caller("request-1", "00-1-2-01", Deadline.after(10, time.monotonic), Identity(str(number), "Bearer token"))


def read(caller: Caller, *ids: int, identity: bool) -> Call:
    """A read by id."""

    def narrow(caller: Caller, some: object) -> Call:
        return read(caller, *some, identity=identity)  # type: ignore[misc]

    def decoded(body: bytes) -> dict[int, object]:
        return dict.fromkeys(ids, decode(body))

    keyed = RequestedKeys(ID, ids, narrow, 200)
    return Call("GET", "/users/{id}", f"/users/{ids[0]}", caller, decoded, identity=identity, keyed=keyed)


async def cpu_us(make: Callable[[int], Call], send: Callable[[Call], Awaitable[object]]) -> float:
    """CPU microseconds of sending one call, the best of several rounds; making it is not timed."""
    best = float("inf")
    for round_ in range(ROUNDS):
        calls = [make(round_ * CALLS + number) for number in range(CALLS)]
        began = time.process_time()
        for number, call in enumerate(calls):
            await send(call)
            if not number % TURN:
                await asyncio.sleep(0)  # as between real calls: the loop clears away the timers that were lifted
        best = min(best, (time.process_time() - began) / CALLS * 1e6)
    return best


async def bare(call: Call) -> object:
    """What any client has to do: make the request, send it, decode the answer."""
    request = WireRequest(call.method, ONE.url + call.target, request_headers(call), None)
    return call.decode((await InstantWire.NO_STORE.send(request, max_response_bytes=1000)).body)


async def main() -> None:
    """Print the table."""
    floor = await cpu_us(lambda number: read(make_caller(number), number, identity=True), bare)
    sys.stdout.write(f"without a stack: {floor:.1f} µs\n")
    plain, public = InstantWire.NO_STORE, InstantWire.PUBLIC
    for title, wire, instances, identity, ids in (
        ("a plain GET for a viewer", plain, (ONE,), True, 1),
        ("a plain GET for a viewer, two instances", plain, TWO, True, 1),
        ("a plain GET for nobody in particular", plain, (ONE,), False, 1),
        ("one object from the cache", public, (ONE,), False, 1),
        ("100 objects from the cache", public, (ONE,), False, 100),
    ):

        def make(number: int, wire: InstantWire = wire, ids: int = ids, identity: bool = identity) -> Call:
            first = 1 if wire is InstantWire.PUBLIC else number
            return read(make_caller(number), *range(first, first + ids), identity=identity)

        taken = await cpu_us(make, Stack("users", instances, TrafficOptions(), wire, lambda _: None))
        sys.stdout.write(f"{title}: {taken:.1f} µs, {taken - floor:+.1f}\n")


if __name__ == "__main__":
    uvloop.run(main())
