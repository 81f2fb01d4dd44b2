"""Cache lookup: replies from the store, calls the service only for missing keys, and falls back on older entries.

The cases, for the keys of one read:
1. the key of a read for one key has no entry: the call goes on unchanged.
2. all keys have a usable entry: the reply is made from the store. Entries in their `stale-while-revalidate` time are used,
   and refreshed in the background.
3. some keys are missing: the call is narrowed to them, and its reply merged with what the store has.
4. each missing key has an entry that may stand in for an error: the call gets one attempt, without retries. While the source
   counts as slow, the entries are used at once, and refreshed in the background.
5. the call fails: entries that may stand in are used as `Stale` values. If there are none, the error is raised.
"""

import asyncio
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import replace
from math import inf
from typing import Any

from msgspec.structs import replace as copy

from bff.runtime.clock import Clock
from bff.runtime.error_copies import detached
from bff.runtime.loop import TimeLimit, running_loop
from bff.upstream.caller import Deadline
from bff.upstream.errors import SourceError, TimedOut
from bff.upstream.events import CacheResult, CallCached, CallRefused, Listener
from bff.upstream.traffic.cache_rules import ABSENT, STANDS_IN_FOR, WHOLE, CacheState, matches
from bff.upstream.traffic.call import Call, Handler, Reply, Stale
from bff.upstream.traffic.store import Key

_REFRESH_S = 10.0
"""The time limit of a refresh in the background."""
_MAX_REFRESHES = 100
"""Keys that are being refreshed at once."""
_GRACE_S = 0.25
"""Seconds added to the attempt's time limit, so that the attempt's own timeout, which the breaker counts, comes first."""


class _Found:
    """What the store has for a read's keys.

    Attributes:
        values: by key. A key of an object that doesn't exist has no value, and is not missing.
        missing: keys to request.
        fallbacks: the number of missing keys with an entry that may stand in for an error.
        refreshable: keys whose value is used now and refreshed in the background; None if there are none.
    """

    __slots__ = ("fallbacks", "missing", "refreshable", "values")

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self.missing: list[Any] = []
        self.fallbacks = 0
        self.refreshable: list[Any] | None = None


class CacheLookup:
    """The outer policy of a source's cache."""

    def __init__(self, source: str, state: CacheState, emit: Listener, clock: Clock, timeout_s: float) -> None:
        self._source = source
        self._state = state
        self._store = state.store
        self._emit = emit
        self._clock = clock
        self._timeout_s = timeout_s
        self._refreshes: dict[Key, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<CacheLookup {self._source}: {self._store!r}, {self.refreshing} refreshing>"

    @property
    def refreshing(self) -> int:
        """The number of keys that are being refreshed in the background."""
        return len(self._refreshes)

    async def aclose(self) -> None:
        """Stop the refreshes in the background."""
        tasks = list(self._refreshes.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Reply from the store as far as possible; call `next` for the rest.

        Raises `SourceError` if the call fails and no older entry may stand in.
        """
        if not call.is_read:
            return await next(call)
        keyed = call.keyed
        keys, family = ((call.subject,), WHOLE) if keyed is None else (keyed.keys, keyed.family)
        viewer = call.viewer
        if len(keys) == 1 and (viewer, family, keys[0]) not in self._store:
            return await next(call)
        found = self._find(call, viewer, family, keys)
        if found.refreshable is not None:
            self._refresh(call, viewer, family, found.refreshable, next)
        if not found.missing:
            self._emit(CallCached(self._source, call.route, CacheResult.STALE if found.refreshable else CacheResult.HIT))
            return Reply(200, found.values if keyed is not None else found.values[call.subject], is_kept=True)
        has_fallback = found.fallbacks == len(found.missing)
        if has_fallback and viewer is None and self._clock() < self._state.slow_until:
            self._refresh(call, viewer, family, found.missing, next)
            return self._fall_back(call, viewer, family, found, TimedOut(self._source, counts=False))
        narrowed = call
        if keyed is not None and len(found.missing) < len(keys):
            narrowed = keyed.narrow(call.caller, found.missing)
            self._emit(CallCached(self._source, call.route, CacheResult.PARTIAL))
        try:
            reply = await (self._try_once(narrowed, next) if has_fallback else next(narrowed))
        except STANDS_IN_FOR as error:
            return self._fall_back(call, viewer, family, found, error)
        return reply if keyed is None else self._merge(call, viewer, family, found.values, reply)

    async def _try_once(self, call: Call, next: Handler) -> Reply:
        """Call without retries, for at most the time of one attempt, since an older entry can be shown."""
        limit = TimeLimit(self._timeout_s + _GRACE_S)
        try:
            return await next(copy(call, has_fallback=True))
        except asyncio.CancelledError as error:
            if not limit.has_cut_off():
                raise
            self._state.mark_slow(self._clock())
            raise TimedOut(self._source, counts=False) from error
        finally:
            limit.lift()

    def _find(self, call: Call, viewer: str | None, family: Hashable, keys: tuple[Any, ...]) -> _Found:
        found = _Found()
        now = self._clock()
        find = self._store.find
        least_s = inf
        for key in keys:
            entry = find((viewer, family, key), now)
            if entry is None or not matches(entry, call):
                found.missing.append(key)
            elif entry.is_fresh(now):
                least_s = min(least_s, entry.came_at + entry.lifetimes.fresh_s - now)
                if entry.value is not ABSENT:
                    found.values[key] = entry.value
            elif viewer is None and entry.may_revalidate_later(now):
                # Shared entries only: a refresh with a viewer's identity would outlive the viewer's request.
                if found.refreshable is None:
                    found.refreshable = []
                found.refreshable.append(key)
                if entry.value is not ABSENT:
                    found.values[key] = entry.value  # the service allows it, so it is not reported as degraded
            else:
                found.missing.append(key)
                found.fallbacks += entry.may_stand_in(now)
        if least_s < inf:
            call.caller.freshness.note(least_s, is_shared=viewer is None, may_keep=True)
        if found.refreshable is not None:
            call.caller.freshness.note(0.0, is_shared=viewer is None, may_keep=True)
        return found

    def _merge(self, call: Call, viewer: str | None, family: Hashable, values: dict[Any, Any], reply: Reply) -> Reply:
        """The store's values and the reply's. In place of an error in the reply: an older entry, if one may stand in."""
        replied: dict[Any, Any] = reply.value
        failed = [key for key, each in replied.items() if isinstance(each, SourceError)]
        if not values and not failed:
            return reply
        values |= replied
        if failed:
            call.caller.freshness.forbid()
        for key in failed:
            old = self._stand_in(call, viewer, family, key) if isinstance(replied[key], STANDS_IN_FOR) else None
            if old is not None:
                del values[key]
                if old.value is not ABSENT:
                    values[key] = old
        return copy(reply, value=values)

    def _fall_back(self, call: Call, viewer: str | None, family: Hashable, found: _Found, error: SourceError) -> Reply:
        """The reply after a failed call: older entries, and the error for keys without one. Raises it if all are."""
        old = {key: value for key in found.missing if (value := self._stand_in(call, viewer, family, key)) is not None}
        if not old and not found.values:
            raise error
        call.caller.freshness.forbid()
        if not error.asked:
            self._emit(CallRefused(self._source, call.route, error.outcome, call.caller.request_id))
        self._emit(CallCached(self._source, call.route, CacheResult.STALE))
        if call.keyed is None:
            return Reply(200, old[call.subject], is_kept=True)
        absent = {key for key, value in old.items() if value.value is ABSENT}
        failure = detached(error)
        values = {key: old.get(key, failure) for key in found.missing if key not in absent}
        return Reply(200, found.values | values, is_kept=True)

    def _stand_in(self, call: Call, viewer: str | None, family: Hashable, key: Any) -> Stale | None:
        now = self._clock()
        entry = self._store.find((viewer, family, key), now)
        if entry is None or not entry.may_stand_in(now) or not matches(entry, call):
            return None
        return Stale(entry.value, entry.age(now), self._source)

    def _refresh(self, call: Call, viewer: str | None, family: Hashable, keys: list[Any], next: Handler) -> None:
        """Request these keys in the background. A key that is being refreshed already is left out."""
        due = [key for key in keys if (viewer, family, key) not in self._refreshes]
        if not due or len(self._refreshes) >= _MAX_REFRESHES:
            return
        # A caller of its own: the refresh goes on after the request that caused it.
        # The call carries no identity, so the caller needs none.
        deadline = Deadline.after(_REFRESH_S, self._clock)
        caller = replace(call.caller, identity=None, deadline=deadline, calls=defaultdict(int))
        narrowed = copy(call, caller=caller, tried=[]) if call.keyed is None else call.keyed.narrow(caller, due)

        async def refresh() -> None:
            try:
                await next(narrowed)
            except SourceError:
                pass  # reported by its events; the entry is used until its time is over
            finally:
                for key in due:
                    self._refreshes.pop((viewer, family, key), None)

        task = running_loop().create_task(refresh())
        self._refreshes.update(dict.fromkeys(((viewer, family, key) for key in due), task))
