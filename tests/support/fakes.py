"""Fakes for upstream tests: time, callers, listeners, and a scripted network."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import httpx
import msgspec
import respx
from msgspec.structs import replace

from bff.upstream.caller import Caller, Deadline, Identity
from bff.upstream.errors import SourceError
from bff.upstream.events import BreakerChanged, CallEnded, CallRefused, Event
from bff.upstream.loads import ReadById
from bff.upstream.records import R
from bff.upstream.traffic.attempt import Attempt
from bff.upstream.traffic.balance import Instance, InstanceOptions
from bff.upstream.traffic.cache import CacheOptions
from bff.upstream.traffic.call import Call, Reply, Stale
from bff.upstream.traffic.retry import RetryOptions
from bff.upstream.traffic.stack import Stack, TrafficOptions
from bff.upstream.wire import Wire, WireError, WireReply, WireRequest

SUB = "42"
AUTHORIZATION = "Bearer secret-token"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HOST = "http://10.11.12.13:8001"
T = TypeVar("T")
ONCE = TrafficOptions(cache=CacheOptions(enabled=False), retry=RetryOptions(attempts=1))
"""Options for exactly one attempt, without a cache."""


class Clock:
    """Time that passes only when the test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    async def advance(self, seconds: float) -> None:
        """Advance the time by this many seconds, and run the tasks whose timers have expired."""
        await settle()
        self.now += seconds
        await settle()


async def settle() -> None:
    """Run all tasks until each waits for an event."""
    for _ in range(20):
        await asyncio.sleep(0)


async def ended(task: "asyncio.Task[T]") -> T:
    """The result of a task that must have ended. It is not awaited without a limit, because the clock does not move."""
    await settle()
    assert task.done(), f"still running: {task!r}"
    return await task


class Heard(list[Event]):
    """A listener that records events."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def ended(self) -> list[CallEnded]:
        """The calls that went over the wire."""
        return [event for event in self if isinstance(event, CallEnded)]

    @property
    def refused(self) -> list[CallRefused]:
        """The calls that were refused."""
        return [event for event in self if isinstance(event, CallRefused)]

    @property
    def turns(self) -> list[tuple[str, str]]:
        """The breaker's changes, as (before, after)."""
        return [(event.before, event.after) for event in self if isinstance(event, BreakerChanged)]


def make_caller(clock: Clock, *, left_s: float = 10.0, sub: str | None = None) -> Caller:
    """A caller with this much time left; signed in if `sub` is given."""
    identity = None if sub is None else Identity(sub, AUTHORIZATION)
    return Caller("request-1", TRACEPARENT, Deadline.after(left_s, clock), identity)


def make_call(caller: Caller, **changes: Any) -> Call:
    """A read of user 1, decoded to plain JSON."""
    call = Call("GET", "/users/{id}", "/users/1", caller, msgspec.json.Decoder().decode)
    return replace(call, **changes)


def make_instance(url: str = HOST) -> Instance:
    """The only instance of a source."""
    return Instance(1, InstanceOptions(url))


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> WireReply:
    """A response as a wire returns it; underscores in header names become hyphens."""
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return WireReply(status, named, body)


Script = Callable[[WireRequest], Awaitable[WireReply]]


class ScriptedWire:
    """A network that follows instructions: it replies, fails, or runs a script. The last one is repeated."""

    def __init__(self, *instructions: WireReply | WireError | Script) -> None:
        self.instructions = list(instructions or (answer(),))
        self.sent: list[WireRequest] = []
        self.limits: list[int] = []

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Follow the current instruction."""
        self.sent.append(request)
        self.limits.append(max_response_bytes)
        instruction = self.instructions.pop(0) if len(self.instructions) > 1 else self.instructions[0]
        if isinstance(instruction, WireReply):
            return instruction
        if isinstance(instruction, WireError):
            raise instruction
        return await instruction(request)

    async def aclose(self) -> None:
        """There is nothing to close."""


async def hang(_: object) -> Any:
    """Never replies: for scripts and handlers."""
    await asyncio.get_running_loop().create_future()


def make_attempt(wire: Wire, clock: Clock, heard: Heard, *, timeout_s: float = 2.0, most_bytes: int = 1000) -> Attempt:
    """An attempt at the users service."""
    return Attempt("users", wire, heard, timeout_s=timeout_s, max_response_bytes=most_bytes, clock=clock)


def make_stack(
    wire: Wire,
    clock: Clock,
    heard: Heard,
    *,
    options: TrafficOptions | None = None,
    instances: Sequence[InstanceOptions] = (InstanceOptions(HOST),),
    source: str = "users",
) -> Stack:
    """A stack with the default settings, except that each call is sent once."""
    return Stack(source, instances, options or ONCE, wire, heard, clock)


async def ok(_: Call) -> Reply:
    """A handler that succeeds."""
    return Reply(200, "well")


class Service:
    """A fake REST service below httpx, by respx. `answers` has its replies by target, `asked` its requests."""

    def __init__(self, router: respx.MockRouter) -> None:
        router.route().mock(side_effect=self._answer)
        self.answers: dict[str, Any] = {}
        self.requests: list[httpx.Request] = []
        self.every: Callable[[httpx.Request], Any] | None = None

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        target = request.url.raw_path.decode()
        found = self.answers.get(target) if self.every is None else self.every(request)
        if isinstance(found, Awaitable):
            found = await found
        if isinstance(found, httpx.Response):
            return found
        if found is None:
            return problem(404, "no such thing")
        if isinstance(found, bytes):
            return httpx.Response(200, content=found, headers={"content-type": "application/json"})
        return httpx.Response(200, json=found)

    @property
    def asked(self) -> list[str]:
        """Method and target of each request, as they went over the wire."""
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    @property
    def last(self) -> httpx.Request:
        """The newest request."""
        return self.requests[-1]

    @property
    def last_json(self) -> Any:
        """The newest request's body."""
        return json.loads(self.last.content)


class HasById(Protocol[R]):
    """A source with the read `by_id`."""

    @property
    def by_id(self) -> ReadById[R]:
        """Reads objects by their ids."""


async def get(source: HasById[R], caller: Caller, id: int) -> R | None:
    """One object, or None if there is none. Raises `SourceError`."""
    found = (await source.by_id.load(caller, [id])).get(id)
    if isinstance(found, SourceError):
        raise found
    assert not isinstance(found, Stale)
    return found


def problem(status: int, detail: str = "", **members: Any) -> httpx.Response:
    """An RFC 9457 response."""
    body = {"type": "about:blank", "title": "secret-title", "status": status, "detail": detail, **members}
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"})


def a_user(number: int, /, **changes: Any) -> dict[str, Any]:
    """A user as the service returns it."""
    return {
        "id": number,
        "name": f"User {number}",
        "email": f"user{number}@example.com",
        "tier": "plus",
        "createdAt": "2026-01-01T00:01:00Z",
    } | changes


def an_order(number: int, /, **changes: Any) -> dict[str, Any]:
    """An order as the service returns it."""
    return {
        "id": number,
        "userId": 1,
        "status": "paid",
        "currency": "USD",
        "total": 317.3,
        "createdAt": "2026-02-01T00:01:00Z",
        "items": [
            {"productId": 8, "quantity": 2, "unitPrice": 34.6},
            {"productId": 21, "quantity": 3, "unitPrice": 82.7},
        ],
    } | changes


def a_product(number: int, /, **changes: Any) -> dict[str, Any]:
    """A product as the service returns it."""
    return {
        "id": number,
        "sku": f"SKU-{number:05d}",
        "name": f"Product {number}",
        "description": "…",
        "price": 8.7,
        "currency": "USD",
        "stock": 7,
        "category": "garden",
        "imageUrl": f"https://cdn.example.com/products/{number}.jpg",
        "updatedAt": "2026-01-01T00:00:00Z",
    } | changes


def without(members: dict[str, Any], *names: str) -> dict[str, Any]:
    """An object that lacks some members."""
    return {name: value for name, value in members.items() if name not in names}
