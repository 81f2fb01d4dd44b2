"""Single flight: equal reads at the same moment are one call.

Equal are reads of one target by one viewer. Where nothing personal goes upstream it goes further: keys that different
requests ask for in the same turn of the event loop share one call, and a key that is being asked for is not asked for twice.

The first to ask makes the call itself, the others wait for it. If it leaves before the answer is there (its client has gone
away, its time is up), one of those who wait asks anew: nobody fails by another's end. A write ends all sharing: who reads
after it never gets what was read before.
"""

import asyncio
from collections.abc import Hashable, Mapping
from typing import Any

from msgspec.structs import replace

from datasources.errors import SourceError, TimedOut
from datasources.events import CallShared, Listener
from datasources.loop import TimeLimit, running_loop
from datasources.traffic.call import Call, Handler, Keyed, Reply
from datasources.traffic.freshness import usable


class _Abandoned(Exception):
    """Whoever made the call has left it."""


_ABANDONED = _Abandoned()
_NO_KEYS: list[Any] = []


class _Flight:
    """A call that is under way, and who waits for it. `keys` are those it asks for; more may be added until it starts."""

    __slots__ = ("_outcome", "_waiting", "keys")

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys
        self._outcome: Reply | Exception | None = None
        self._waiting: list[asyncio.Future[None]] | None = None

    def land(self, outcome: Reply | Exception) -> None:
        """It has ended: tell everybody."""
        self._outcome = outcome
        for waiter in self._waiting or ():
            if not waiter.done():
                waiter.set_result(None)

    async def outcome(self) -> Reply:
        """Wait for its end. Raises `SourceError`, `_Abandoned`."""
        if self._outcome is None:
            waiter: asyncio.Future[None] = running_loop().create_future()
            if self._waiting is None:
                self._waiting = []
            self._waiting.append(waiter)
            await waiter
        if isinstance(self._outcome, Reply):
            return self._outcome
        raise self._outcome or _ABANDONED


class SingleFlight:
    """One a source."""

    def __init__(self, source: str, emit: Listener) -> None:
        self._source = source
        self._emit = emit
        self._by_target: dict[Hashable, _Flight] = {}
        self._by_key: dict[Hashable, _Flight] = {}
        self._boarding: dict[Hashable, _Flight] = {}

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
        if call.keyed is not None and call.viewer is None:
            return await self._by_keys(call, call.keyed, next)
        key = (call.viewer, call.target)
        while (flight := self._by_target.get(key)) is not None:
            self._emit(CallShared(self._source, call.route))
            try:
                return await self._wait(flight, call)
            except _Abandoned:
                continue
        flight = self._by_target[key] = _Flight(_NO_KEYS)
        outcome: Reply | Exception = _ABANDONED
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

    async def _wait(self, flight: _Flight, call: Call) -> Reply:
        limit = TimeLimit(call.caller.deadline.left())
        try:
            return await flight.outcome()
        except asyncio.CancelledError as error:
            if not limit.has_cut_off():
                raise
            raise TimedOut(self._source, counts=False, asked=False) from error
        finally:
            limit.lift()

    async def _by_keys(self, call: Call, keyed: Keyed, next: Handler) -> Reply:
        """Join what is under way, board what is about to start, and make one call for the rest."""
        joined: dict[_Flight, list[Any]] = {}
        rest: list[Any] = []
        for key in keyed.keys:
            flight = self._by_key.get((keyed.family, key))
            if flight is None:
                rest.append(key)
            else:
                joined.setdefault(flight, []).append(key)
        own: _Flight | None = None
        if rest:
            flight = self._boarding.get(keyed.family)
            if flight is not None and len(flight.keys) + len(rest) <= keyed.most:
                flight.keys += rest
                joined.setdefault(flight, []).extend(rest)
            else:
                own = flight = self._boarding[keyed.family] = _Flight(list(rest))
            self._by_key.update(dict.fromkeys([(keyed.family, key) for key in rest], flight))
        if own is None and len(joined) == 1:
            self._emit(CallShared(self._source, call.route))
            return await self._share(call, keyed, *joined.popitem(), next)
        if own is not None and not joined:
            return await self._lead(own, call, keyed, rest, next)
        return await self._gather(call, keyed, own, rest, joined, next)

    async def _lead(self, flight: _Flight, call: Call, keyed: Keyed, keys: list[Any], next: Handler) -> Reply:
        """Give others one turn to board, then ask for all."""
        outcome: Reply | Exception = _ABANDONED
        try:
            await asyncio.sleep(0)
            self._depart(flight, keyed)
            asked = call if len(flight.keys) == len(keyed.keys) == len(keys) else keyed.narrow(call.caller, flight.keys)
            reply = outcome = await next(asked)
        except SourceError as error:
            outcome = _of_all(error, call)
            raise
        finally:
            flight.land(outcome)
            self._depart(flight, keyed)
            for key in flight.keys:
                if self._by_key.get((keyed.family, key)) is flight:
                    del self._by_key[keyed.family, key]
        return _part(reply, keys, flight)

    def _depart(self, flight: _Flight, keyed: Keyed) -> None:
        """From now on nobody boards it."""
        if self._boarding.get(keyed.family) is flight:
            del self._boarding[keyed.family]

    async def _share(self, call: Call, keyed: Keyed, flight: _Flight, keys: list[Any], next: Handler) -> Reply:
        try:
            return _part(await self._wait(flight, call), keys, flight)
        except _Abandoned:
            return await self(keyed.narrow(call.caller, keys), next)

    async def _gather(
        self,
        call: Call,
        keyed: Keyed,
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
            found |= await self._or_error(self._share(call, keyed, flight, keys, next), keys, headers)
        # Whatever is made of it may be used for as long as the strictest of them.
        return Reply(200, found, min(headers, key=lambda each: usable(each, with_identity=False), default={}))

    @staticmethod
    async def _or_error(asking: Any, keys: list[Any], headers: list[Mapping[str, str]]) -> dict[Any, Any]:
        try:
            reply: Reply = await asking
        except SourceError as error:
            return dict.fromkeys(keys, error)
        headers.append(reply.headers)
        value: dict[Any, Any] = reply.value
        return value


def _of_all(error: SourceError, call: Call) -> Exception:
    """What an error means to those who wait for the call: that they have to ask for themselves, where it is its maker's own.

    Cut off by the maker's deadline, it says nothing to those who have more time.
    """
    return _ABANDONED if isinstance(error, TimedOut) and call.caller.deadline.left() <= 0 else error


def _part(reply: Reply, keys: list[Any], flight: _Flight) -> Reply:
    """What of a shared reply is for those who asked for these keys."""
    if len(keys) == len(flight.keys):
        return reply
    return replace(reply, value={key: reply.value[key] for key in keys if key in reply.value})
