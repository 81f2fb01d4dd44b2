"""Single flight: equal reads at the same time share one call.

Two reads are equal if they have the same target and the same viewer. Without an identity, keys are shared too: keys that
different requests need in the same turn of the event loop go out in one call, and a key that is being requested already is
not requested a second time.

The first request makes the call (the leader); the others wait for it (followers). If the leader leaves before the reply (its
client disconnected, its deadline passed), a follower calls again: no request fails because another one ended. A write ends
all sharing: a read after it never gets a reply from before it.

A shared call may fail because of one of its keys. Then each request repeats it for its own keys alone: see `isolation.py`.
"""

import asyncio
import time
from collections.abc import Awaitable, Hashable, Mapping
from typing import Any

from bff.runtime.clock import Clock
from bff.runtime.error_copies import again, detached
from bff.runtime.loop import TimeLimit, running_loop
from bff.upstream.errors import SourceError, TimedOut
from bff.upstream.events import CallRetried, CallShared, Listener
from bff.upstream.traffic.call import Call, Handler, Reply, RequestedKeys
from bff.upstream.traffic.isolation import Isolation, may_be_of_a_key
from bff.upstream.traffic.shared_call import Outcome, SharedCall, merge, outcome_for_followers, part_of

_NO_KEYS: list[Any] = []


class SingleFlight:
    """The policy of one source."""

    def __init__(self, source: str, emit: Listener, clock: Clock = time.monotonic) -> None:
        self._source = source
        self._emit = emit
        self._by_target: dict[Hashable, SharedCall] = {}
        self._by_key: dict[Hashable, SharedCall] = {}
        self._not_started: dict[Hashable, SharedCall] = {}
        """By family: the call that will start in the next turn of the event loop. Keys may still be added to it."""
        self._isolation = Isolation(clock)

    def __repr__(self) -> str:
        return f"<SingleFlight {self._source}: {len(self._by_target)} targets, {len(self._by_key)} keys>"

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Share the call if it is a read. Raises what the shared call raises."""
        if not call.is_read:
            self.end_sharing()
            try:
                return await next(call)
            finally:
                self.end_sharing()
        if call.keyed is None or call.viewer is not None:
            return await self._share_target(call, next)
        if self._isolation.is_on:
            isolated = self._isolation.isolated(call.keyed.family, call.keyed.keys)
            if isolated:
                return await self._separate(call, call.keyed, isolated, next)
        return await self._share_keys(call, call.keyed, next)

    async def _share_target(self, call: Call, next: Handler) -> Reply:
        """Share the call with reads of the same target by the same viewer."""
        key = (call.viewer, call.subject)
        while (shared := self._by_target.get(key)) is not None and not shared.is_full:
            self._emit(CallShared(self._source, call.route))
            result = await self._wait(shared, call)
            if isinstance(result, Reply):
                return result
            if result is not None:
                raise again(result)
        shared = self._by_target[key] = SharedCall(_NO_KEYS)
        outcome: Outcome = None
        try:
            reply = outcome = await next(call)
        except SourceError as error:
            outcome = outcome_for_followers(error, call)
            raise
        finally:
            shared.end(outcome)
            if self._by_target.get(key) is shared:
                del self._by_target[key]
        return reply

    def end_sharing(self) -> None:
        """From now on no request joins a call that is under way."""
        self._by_target.clear()
        self._by_key.clear()
        self._not_started.clear()

    async def _wait(self, shared: SharedCall, call: Call) -> Outcome:
        """Wait for a shared call as a follower, until the follower's own deadline."""
        limit = TimeLimit(call.caller.deadline.left())
        try:
            return await shared.outcome()
        except asyncio.CancelledError as error:
            if not limit.has_cut_off():
                raise
            raise TimedOut(self._source, counts=False, asked=False) from error
        finally:
            limit.lift()

    async def _share_keys(self, call: Call, keyed: RequestedKeys, next: Handler) -> Reply:
        """Join calls that request some of the keys already, or are about to start; make one call for the other keys.

        Repeated if the leader of a joined call left it, which may happen any number of times.
        """
        while True:
            own, own_keys, joined = self._join(keyed)
            if own is not None and not joined:
                return await self._lead(own, call, keyed, own_keys, next)
            if own is not None or len(joined) > 1:
                return await self._gather(call, keyed, own, own_keys, joined, next)
            self._emit(CallShared(self._source, call.route))
            reply = await self._follow(call, keyed, *joined.popitem(), next)
            if reply is not None:
                return reply

    def _join(self, keyed: RequestedKeys) -> tuple[SharedCall | None, list[Any], dict[SharedCall, list[Any]]]:
        """Find a call for each key.

        Returns:
            The call that this request leads, or None; the keys that no call requested yet; the calls that it follows, with
            the keys that it needs of each.
        """
        joined: dict[SharedCall, list[Any]] = {}
        new_keys: list[Any] = []
        for key in keyed.keys:
            shared = self._by_key.get((keyed.family, key))
            if shared is None or shared.is_full:
                new_keys.append(key)
            else:
                joined.setdefault(shared, []).append(key)
        own: SharedCall | None = None
        if new_keys:
            shared = self._not_started.get(keyed.family)
            if shared is not None and len(shared.keys) + len(new_keys) <= keyed.most and not shared.is_full:
                shared.keys += new_keys
                joined.setdefault(shared, []).extend(new_keys)
            else:
                own = shared = SharedCall(list(new_keys))
                if keyed.most > 1:  # otherwise no other key may stand in the same call
                    self._not_started[keyed.family] = own
            self._by_key.update(dict.fromkeys([(keyed.family, key) for key in new_keys], shared))
        return own, new_keys, joined

    async def _lead(self, shared: SharedCall, call: Call, keyed: RequestedKeys, keys: list[Any], next: Handler) -> Reply:
        """Wait one turn of the event loop, in which other requests add keys; then make the call for all of them."""
        outcome: Outcome = None
        try:
            await asyncio.sleep(0)
            self._start(shared, keyed)
            is_own = len(shared.keys) == len(keyed.keys) == len(keys)
            outcome = await next(call if is_own else keyed.narrow(call.caller, shared.keys))
        except SourceError as error:
            outcome = outcome_for_followers(error, call)
            shared.was_cut_off = outcome is None
            if outcome is None or not may_be_of_a_key(outcome):
                raise
            if len(keys) == len(shared.keys):
                self._isolation.suspect(keyed.family, keys, outcome)
                raise
        except Exception:
            shared.was_cut_off = True
            raise
        finally:
            shared.end(outcome)
            self._start(shared, keyed)
            for key in shared.keys:
                if self._by_key.get((keyed.family, key)) is shared:
                    del self._by_key[keyed.family, key]
        if isinstance(outcome, Reply):
            return part_of(outcome, keys, shared)
        if outcome is None:
            raise AssertionError("a call without an outcome raises")
        return await self._repeat_alone(call, keyed, keys, outcome, next)

    def _start(self, shared: SharedCall, keyed: RequestedKeys) -> None:
        """From now on no keys are added to the call."""
        if self._not_started.get(keyed.family) is shared:
            del self._not_started[keyed.family]

    async def _follow(
        self, call: Call, keyed: RequestedKeys, shared: SharedCall, keys: list[Any], next: Handler
    ) -> Reply | None:
        """The reply of a joined call for these keys; None if its leader left it."""
        outcome = await self._wait(shared, call)
        if isinstance(outcome, Reply):
            return part_of(outcome, keys, shared)
        has_others = len(keys) < len(shared.keys)
        if outcome is None:
            if not (has_others and shared.was_cut_off):
                return None
            outcome = TimedOut(self._source, counts=False)
        if has_others and may_be_of_a_key(outcome):
            return await self._repeat_alone(call, keyed, keys, outcome, next)
        raise again(outcome)

    async def _repeat_alone(
        self, call: Call, keyed: RequestedKeys, keys: list[Any], failure: SourceError, next: Handler
    ) -> Reply:
        """Repeat a failed shared call for one request's keys alone. Raises the failure if no time or permit is left."""
        if call.caller.deadline.left() <= 0 or not self._isolation.take():
            raise again(failure)
        self._emit(CallRetried(self._source, call.route, "alone", 0.0, call.caller.request_id))
        is_ok = False
        try:
            reply = await self._call_alone(call, keyed, keys, next)
            is_ok = True
        except SourceError as error:
            if error.asked:
                raise
            # The gateway itself refused the call (by its breaker, for example): the service's own failure says more.
            raise again(failure) from None
        finally:
            self._isolation.settle(ok=is_ok)
        return reply

    async def _call_alone(self, call: Call, keyed: RequestedKeys, keys: list[Any], next: Handler) -> Reply:
        """Request these keys in a call without other requests' keys."""
        try:
            reply = await self._share_target(keyed.narrow(call.caller, keys), next)
        except SourceError as error:
            self._isolation.suspect(keyed.family, keys, error)
            raise
        self._isolation.clear(keyed.family, keys)
        return reply

    async def _separate(self, call: Call, keyed: RequestedKeys, isolated: list[Any], next: Handler) -> Reply:
        """Request the isolated keys alone and the others as usual. At the same time, since isolated keys may be slow."""
        alone_keys = set(isolated)
        usual = [key for key in keyed.keys if key not in alone_keys]
        if not usual:
            return await self._call_alone(call, keyed, isolated, next)
        headers: list[Mapping[str, str]] = []
        narrowed = keyed.narrow(call.caller, usual)
        alone = running_loop().create_task(
            self._values_or_error(self._call_alone(call, keyed, isolated, next), isolated, headers)
        )
        try:
            values = await self._values_or_error(self._share_keys(narrowed, narrowed.keyed or keyed, next), usual, headers)
            values = values | await alone
        finally:
            alone.cancel()
        return merge(values, headers)

    async def _gather(
        self,
        call: Call,
        keyed: RequestedKeys,
        own: SharedCall | None,
        own_keys: list[Any],
        joined: dict[SharedCall, list[Any]],
        next: Handler,
    ) -> Reply:
        """Merge the replies of several calls; one that fails costs its own keys only.

        They are awaited one after the other, since all of them are under way.
        """
        values: dict[Any, Any] = {}
        headers: list[Mapping[str, str]] = []
        if own is not None:
            values |= await self._values_or_error(self._lead(own, call, keyed, own_keys, next), own_keys, headers)
        if joined:
            self._emit(CallShared(self._source, call.route))
        for shared, keys in joined.items():
            values |= await self._values_or_error(self._follow_or_call(call, keyed, shared, keys, next), keys, headers)
        return merge(values, headers)

    async def _follow_or_call(
        self, call: Call, keyed: RequestedKeys, shared: SharedCall, keys: list[Any], next: Handler
    ) -> Reply:
        """The reply of a joined call for these keys. If its leader left it, that of another call."""
        reply = await self._follow(call, keyed, shared, keys, next)
        if reply is None:
            narrowed = keyed.narrow(call.caller, keys)
            reply = await self._share_keys(narrowed, narrowed.keyed or keyed, next)
        return reply

    @staticmethod
    async def _values_or_error(
        replying: Awaitable[Reply], keys: list[Any], headers: list[Mapping[str, str]]
    ) -> dict[Any, Any]:
        """The values of a reply by key, and its headers added to `headers`. If it failed, its error for each of the keys."""
        try:
            reply = await replying
        except SourceError as error:
            return dict.fromkeys(keys, detached(error))
        headers.append(reply.headers)
        values: dict[Any, Any] = reply.value
        return values
