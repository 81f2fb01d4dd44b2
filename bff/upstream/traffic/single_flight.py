"""Single flight: equal reads at the same moment are one call.

Equal are reads of one target by one viewer. Where nothing personal goes upstream it goes further: keys that different
requests ask for in the same turn of the event loop share one call, and a key that is being asked for is not asked for twice.

The first to ask makes the call itself, the others wait for it. If it leaves before the answer is there (its client has gone
away, its time is up), one of those who wait asks anew: nobody fails by another's end. A write ends all sharing: who reads
after it never gets what was read before.

A shared call may fail because of one of its keys. Then each request repeats it for its own keys alone: see
`isolation.py`.
"""

import asyncio
import time
from collections.abc import Awaitable, Hashable, Mapping
from typing import Any

from msgspec.structs import replace

from bff.runtime.clock import Clock
from bff.runtime.error_copies import again, detached
from bff.runtime.loop import TimeLimit, running_loop
from bff.upstream.errors import SourceError, TimedOut
from bff.upstream.events import CallRetried, CallShared, Listener
from bff.upstream.traffic.call import Call, Handler, Reply, RequestedKeys
from bff.upstream.traffic.freshness import usable
from bff.upstream.traffic.isolation import Isolation, may_be_of_a_key

Outcome = Reply | SourceError | None
"""The outcome of a call: its reply; its error, which is never raised itself; None if the request that made it has left."""

_NO_KEYS: list[Any] = []
_MOST_WAITING = 250
"""So many wait for one call. Those beyond share a call of their own."""


class _Flight:
    """A call that is under way, and who waits for it.

    Attributes:
        keys: those it asks for; more may be added until it starts.
        was_cut_off: whether its maker left it for a reason that may lie in the keys: a timeout or an internal error.
    """

    __slots__ = ("_has_landed", "_outcome", "_waiting", "keys", "was_cut_off")

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys
        self.was_cut_off = False
        self._has_landed = False
        self._outcome: Outcome = None
        self._waiting: list[asyncio.Future[None]] | None = None

    @property
    def is_full(self) -> bool:
        """Whether as many wait for it as may: all of them are woken when its maker leaves it, which must not take long."""
        return self._waiting is not None and len(self._waiting) >= _MOST_WAITING

    def land(self, outcome: Outcome) -> None:
        """It has ended: tell everybody."""
        self._outcome = outcome
        self._has_landed = True
        for waiter in self._waiting or ():
            if not waiter.done():
                waiter.set_result(None)

    async def outcome(self) -> Outcome:
        """Wait for its end."""
        if not self._has_landed:
            waiter: asyncio.Future[None] = running_loop().create_future()
            if self._waiting is None:
                self._waiting = []
            self._waiting.append(waiter)
            await waiter
        return self._outcome


class SingleFlight:
    """One a source."""

    def __init__(self, source: str, emit: Listener, clock: Clock = time.monotonic) -> None:
        self._source = source
        self._emit = emit
        self._by_target: dict[Hashable, _Flight] = {}
        self._by_key: dict[Hashable, _Flight] = {}
        self._boarding: dict[Hashable, _Flight] = {}
        self._isolation = Isolation(clock)

    def __repr__(self) -> str:
        return f"<SingleFlight {self._source}: {len(self._by_target)} targets, {len(self._by_key)} keys>"

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Raises what the one call raises."""
        if not call.is_read:
            self._forget()
            try:
                return await next(call)
            finally:
                self._forget()
        if call.keyed is None or call.viewer is not None:
            return await self._equal(call, next)
        if self._isolation.is_on:
            apart = self._isolation.apart(call.keyed.family, call.keyed.keys)
            if apart:
                return await self._apart(call, call.keyed, apart, next)
        return await self._by_keys(call, call.keyed, next)

    async def _equal(self, call: Call, next: Handler) -> Reply:
        """Share with equal reads: of the same target, by the same viewer."""
        key = (call.viewer, call.target)
        while (flight := self._by_target.get(key)) is not None and not flight.is_full:
            self._emit(CallShared(self._source, call.route))
            shared = await self._wait(flight, call)
            if isinstance(shared, Reply):
                return shared
            if shared is not None:
                raise again(shared)
        flight = self._by_target[key] = _Flight(_NO_KEYS)
        outcome: Outcome = None
        try:
            reply = outcome = await next(call)
        except SourceError as error:
            outcome = _of_all(error, call)
            raise
        finally:
            flight.land(outcome)
            if self._by_target.get(key) is flight:
                del self._by_target[key]
        return reply

    def _forget(self) -> None:
        self._by_target.clear()
        self._by_key.clear()
        self._boarding.clear()

    async def _wait(self, flight: _Flight, call: Call) -> Outcome:
        limit = TimeLimit(call.caller.deadline.left())
        try:
            return await flight.outcome()
        except asyncio.CancelledError as error:
            if not limit.has_cut_off():
                raise
            raise TimedOut(self._source, counts=False, asked=False) from error
        finally:
            limit.lift()

    async def _by_keys(self, call: Call, keyed: RequestedKeys, next: Handler) -> Reply:
        """Join what is under way, board what is about to start, and make one call for the rest.

        Repeated if the maker of a joined call has left it, which may happen any number of times.
        """
        while True:
            own, rest, joined = self._joined(keyed)
            if own is not None and not joined:
                return await self._lead(own, call, keyed, rest, next)
            if own is not None or len(joined) > 1:
                return await self._gather(call, keyed, own, rest, joined, next)
            self._emit(CallShared(self._source, call.route))
            reply = await self._share(call, keyed, *joined.popitem(), next)
            if reply is not None:
                return reply

    def _joined(self, keyed: RequestedKeys) -> tuple[_Flight | None, list[Any], dict[_Flight, list[Any]]]:
        """The request's own flight, if it needs one, with its keys; the flights that it joins, with the keys of each."""
        joined: dict[_Flight, list[Any]] = {}
        rest: list[Any] = []
        for key in keyed.keys:
            flight = self._by_key.get((keyed.family, key))
            if flight is None or flight.is_full:
                rest.append(key)
            else:
                joined.setdefault(flight, []).append(key)
        own: _Flight | None = None
        if rest:
            flight = self._boarding.get(keyed.family)
            if flight is not None and len(flight.keys) + len(rest) <= keyed.most and not flight.is_full:
                flight.keys += rest
                joined.setdefault(flight, []).extend(rest)
            else:
                own = flight = self._boarding[keyed.family] = _Flight(list(rest))
            self._by_key.update(dict.fromkeys([(keyed.family, key) for key in rest], flight))
        return own, rest, joined

    async def _lead(self, flight: _Flight, call: Call, keyed: RequestedKeys, keys: list[Any], next: Handler) -> Reply:
        """Give others one turn to board, then ask for all."""
        outcome: Outcome = None
        try:
            await asyncio.sleep(0)
            self._depart(flight, keyed)
            asked = call if len(flight.keys) == len(keyed.keys) == len(keys) else keyed.narrow(call.caller, flight.keys)
            outcome = await next(asked)
        except SourceError as error:
            outcome = _of_all(error, call)
            flight.was_cut_off = outcome is None
            if outcome is None or not may_be_of_a_key(outcome):
                raise
            if len(keys) == len(flight.keys):
                self._isolation.suspect(keyed.family, keys, outcome)
                raise
        except Exception:
            flight.was_cut_off = True
            raise
        finally:
            flight.land(outcome)
            self._depart(flight, keyed)
            for key in flight.keys:
                if self._by_key.get((keyed.family, key)) is flight:
                    del self._by_key[keyed.family, key]
        if isinstance(outcome, Reply):
            return _part(outcome, keys, flight)
        if outcome is None:
            raise AssertionError("a call that was left has raised")
        return await self._once_more(call, keyed, keys, outcome, next)

    def _depart(self, flight: _Flight, keyed: RequestedKeys) -> None:
        """From now on nobody boards it."""
        if self._boarding.get(keyed.family) is flight:
            del self._boarding[keyed.family]

    async def _share(
        self, call: Call, keyed: RequestedKeys, flight: _Flight, keys: list[Any], next: Handler
    ) -> Reply | None:
        """The reply of a joined call for these keys; None if its maker has left it."""
        outcome = await self._wait(flight, call)
        if isinstance(outcome, Reply):
            return _part(outcome, keys, flight)
        has_others = len(keys) < len(flight.keys)
        if outcome is None:
            if not (has_others and flight.was_cut_off):
                return None
            outcome = TimedOut(self._source, counts=False)
        if has_others and may_be_of_a_key(outcome):
            return await self._once_more(call, keyed, keys, outcome, next)
        raise again(outcome)

    async def _once_more(
        self, call: Call, keyed: RequestedKeys, keys: list[Any], failure: SourceError, next: Handler
    ) -> Reply:
        """Repeat a failed shared call for one request's keys alone."""
        if call.caller.deadline.left() <= 0 or not self._isolation.take():
            raise again(failure)
        self._emit(CallRetried(self._source, call.route, "alone", 0.0, call.caller.request_id))
        is_ok = False
        try:
            reply = await self._alone(call, keyed, keys, next)
            is_ok = True
        except SourceError as error:
            if error.asked:
                raise
            # The gateway itself refused the call (by its breaker, for example): the service's own failure says more.
            raise again(failure) from None
        finally:
            self._isolation.settle(ok=is_ok)
        return reply

    async def _alone(self, call: Call, keyed: RequestedKeys, keys: list[Any], next: Handler) -> Reply:
        """Ask for these keys in a call without other requests' keys."""
        try:
            reply = await self._equal(keyed.narrow(call.caller, keys), next)
        except SourceError as error:
            self._isolation.suspect(keyed.family, keys, error)
            raise
        self._isolation.clear(keyed.family, keys)
        return reply

    async def _apart(self, call: Call, keyed: RequestedKeys, apart: list[Any], next: Handler) -> Reply:
        """Ask for the isolated keys alone and for the others as usual. At the same time, since isolated keys may be slow."""
        alone_keys = set(apart)
        rest = [key for key in keyed.keys if key not in alone_keys]
        if not rest:
            return await self._alone(call, keyed, apart, next)
        headers: list[Mapping[str, str]] = []
        narrowed = keyed.narrow(call.caller, rest)
        alone = running_loop().create_task(self._or_error(self._alone(call, keyed, apart, next), apart, headers))
        try:
            found = await self._or_error(self._by_keys(narrowed, narrowed.keyed or keyed, next), rest, headers)
            found = found | await alone
        finally:
            alone.cancel()
        return _merged(found, headers)

    async def _gather(
        self,
        call: Call,
        keyed: RequestedKeys,
        own: _Flight | None,
        rest: list[Any],
        joined: dict[_Flight, list[Any]],
        next: Handler,
    ) -> Reply:
        """Of several calls, one that fails costs its own keys. Waited for in turn: all of them are under way."""
        found: dict[Any, Any] = {}
        headers: list[Mapping[str, str]] = []
        if own is not None:
            found |= await self._or_error(self._lead(own, call, keyed, rest, next), rest, headers)
        if joined:
            self._emit(CallShared(self._source, call.route))
        for flight, keys in joined.items():
            found |= await self._or_error(self._shared(call, keyed, flight, keys, next), keys, headers)
        return _merged(found, headers)

    async def _shared(self, call: Call, keyed: RequestedKeys, flight: _Flight, keys: list[Any], next: Handler) -> Reply:
        reply = await self._share(call, keyed, flight, keys, next)
        if reply is None:
            narrowed = keyed.narrow(call.caller, keys)
            reply = await self._by_keys(narrowed, narrowed.keyed or keyed, next)
        return reply

    @staticmethod
    async def _or_error(asking: Awaitable[Reply], keys: list[Any], headers: list[Mapping[str, str]]) -> dict[Any, Any]:
        try:
            reply = await asking
        except SourceError as error:
            return dict.fromkeys(keys, detached(error))
        headers.append(reply.headers)
        value: dict[Any, Any] = reply.value
        return value


def _of_all(error: SourceError, call: Call) -> SourceError | None:
    """The outcome for requests that wait for the call: None if the error is its maker's own, so that they ask themselves.

    Cut off by the maker's deadline, it says nothing to those who have more time.
    """
    return None if isinstance(error, TimedOut) and call.caller.deadline.left() <= 0 else detached(error)


def _part(reply: Reply, keys: list[Any], flight: _Flight) -> Reply:
    """What of a shared reply is for those who asked for these keys."""
    if len(keys) == len(flight.keys):
        return reply
    return replace(reply, value={key: reply.value[key] for key in keys if key in reply.value})


def _merged(found: dict[Any, Any], headers: list[Mapping[str, str]]) -> Reply:
    """The reply made of several calls' values. It has the headers of the one that may be used for the shortest time."""
    return Reply(200, found, min(headers, key=lambda each: usable(each, with_identity=False), default={}))
