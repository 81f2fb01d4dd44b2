"""Cache: what services themselves mark cacheable (RFC 9111), by object.

It has two places in the stack. `lookup` answers from what is at hand, asks on only for what is missing, and lets old
answers stand in where asking failed (RFC 5861). `fill`, below the single flight, keeps what comes, once for all who wait
for it; asks with a validator where it has one; and drops what a write touches.

An answer to a call that carries an identity is kept for that viewer alone, whatever it says of itself; what nobody in
particular asked for is kept for all. So nothing that was fetched with one viewer's credentials is ever shown to another.
A batch or a page fills an entry an object. An answer that a write has overtaken is not kept. After a write of unknown
outcome, what it may still change is asked for anew each time.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping
from dataclasses import replace
from math import inf
from typing import Annotated, Any

from annotated_types import Ge, Le
from msgspec.structs import replace as copy

from bff.runtime.error_copies import detached
from bff.runtime.loop import TimeLimit, running_loop
from bff.runtime.options import options
from bff.upstream.caller import Clock, Deadline
from bff.upstream.errors import (
    BadAnswer,
    Busy,
    Forbidden,
    NotReached,
    NotSendable,
    Rejected,
    SourceError,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from bff.upstream.events import CacheResult, CallCached, CallRefused, Listener
from bff.upstream.traffic.call import ID, Call, Handler, Reply, RequestedKeys, Stale, request_headers
from bff.upstream.traffic.freshness import Lifetimes, is_same_tag, judge, kept, merged
from bff.upstream.traffic.store import Entry, Key, Store

_ABSENT = object()
"""Stands in the store for an object that there isn't: that is an answer too."""
_ANSWER = "answer"
"""The family of whole answers, known by their target."""
_STANDS_IN_FOR = (Unavailable, TimedOut, BadAnswer)
"""The faults for which an old answer is better than none (RFC 5861, section 4)."""
_REFUSALS = (Unauthenticated, Forbidden, Rejected)
"""A service that says no, and works well."""
_OF_THE_VALIDATOR = frozenset({400, 412, 431})
"""Statuses with which a service may reject a conditional request, but not the same request without a condition."""
_REFRESH_S = 10.0
_MOST_REFRESHES = 100
_SLOW_S = 10.0
"""Seconds for which a source counts as slow after a slow fault, unless it answers before."""
_GRACE_S = 0.25
"""Seconds added to the attempt's time limit, so that the attempt's own timeout, which the breaker counts, comes first."""
_UNSETTLED_S = 30.0
"""Seconds for which a write of unknown outcome may still take effect."""
_MOST_UNSETTLED = 1000


@options
class CacheOptions:
    """Whether answers are kept, and how many."""

    enabled: bool = True
    max_entries: Annotated[int, Ge(1), Le(10_000_000)] = 10_000
    max_bytes: Annotated[int, Ge(1024), Le(2**40)] = 64 * 1024 * 1024


class _Looked:
    """What a look into the store has found for a call's keys."""

    __slots__ = ("fallbacks", "found", "later", "missing")

    def __init__(self) -> None:
        self.found: dict[Any, Any] = {}
        self.missing: list[Any] = []
        self.fallbacks = 0
        """The number of missing keys that have an older answer to stand in."""
        self.later: list[Any] | None = None
        """Keys that are answered, and to be asked for anew behind the viewer's back."""


class Cache:
    """One a source. `lookup` and `fill` are its two policies."""

    def __init__(
        self,
        source: str,
        options: CacheOptions,
        emit: Listener,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        timeout_s: float = 2.0,
    ) -> None:
        self._source = source
        self._emit = emit
        self._clock = clock
        self._wall = wall
        self._store = Store(options.max_entries, options.max_bytes)
        self._timeout_s = timeout_s
        self._slow_until = -inf
        self._writes = 0
        self._unsettled = _Unsettled()
        self._refreshes: dict[Key, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Cache {self._source}: {self._store!r}, {len(self._refreshes)} refreshing>"

    def clear(self) -> None:
        """Forget everything."""
        self._writes += 1
        self._store.clear()

    async def aclose(self) -> None:
        """Stop what is asked for behind the viewers' backs."""
        tasks = list(self._refreshes.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def lookup(self, call: Call, next: Handler) -> Reply:
        """Answer from the store what can be; ask for the rest. Raises `SourceError` where no old answer stands in."""
        if call.method != "GET":
            return await next(call)
        keyed = call.keyed
        keys, family = ((call.target,), _ANSWER) if keyed is None else (keyed.keys, keyed.family)
        viewer = call.viewer
        if len(keys) == 1 and (viewer, family, keys[0]) not in self._store:
            return await next(call)  # nothing is known of it: nothing to answer with, and nothing to fall back on
        looked = self._look(call, viewer, family, keys)
        if looked.later is not None:
            self._refresh(call, viewer, family, looked.later, next)
        if not looked.missing:
            self._emit(CallCached(self._source, call.route, CacheResult.STALE if looked.later else CacheResult.HIT))
            return Reply(200, looked.found if keyed is not None else looked.found[call.target], is_kept=True)
        has_fallback = looked.fallbacks == len(looked.missing)
        if has_fallback and viewer is None and self._clock() < self._slow_until:
            self._refresh(call, viewer, family, looked.missing, next)
            return self._stand_in(call, viewer, family, looked, TimedOut(self._source, counts=False))
        asked = call
        if keyed is not None and len(looked.missing) < len(keys):
            asked = keyed.narrow(call.caller, looked.missing)
            self._emit(CallCached(self._source, call.route, CacheResult.PARTIAL))
        try:
            reply = await (self._ask_once(asked, next) if has_fallback else next(asked))
        except _STANDS_IN_FOR as error:
            return self._stand_in(call, viewer, family, looked, error)
        return reply if keyed is None else self._joined(call, viewer, family, looked.found, reply)

    async def _ask_once(self, call: Call, next: Handler) -> Reply:
        """Ask without retries, for at most the time of one attempt: there is an older answer to show."""
        limit = TimeLimit(self._timeout_s + _GRACE_S)
        try:
            return await next(copy(call, has_fallback=True))
        except asyncio.CancelledError as error:
            if not limit.has_cut_off():
                raise
            self._slow_until = self._clock() + _SLOW_S
            raise TimedOut(self._source, counts=False) from error
        finally:
            limit.lift()

    def _look(self, call: Call, viewer: str | None, family: Hashable, keys: tuple[Any, ...]) -> _Looked:
        looked = _Looked()
        now = self._clock()
        get = self._store.get
        least_s = inf
        for key in keys:
            entry = get((viewer, family, key), now)
            if entry is None or not _matches(entry, call):
                looked.missing.append(key)
            elif entry.is_fresh(now):
                least_s = min(least_s, entry.came_at + entry.lifetimes.fresh_s - now)
                if entry.value is not _ABSENT:
                    looked.found[key] = entry.value
            elif viewer is None and entry.may_revalidate_later(now):
                # For nobody in particular only: work for a viewer ends with the viewer's request.
                if looked.later is None:
                    looked.later = []
                looked.later.append(key)
                if entry.value is not _ABSENT:
                    looked.found[key] = entry.value  # the service allows it, so it is not reported as degraded
            else:
                looked.missing.append(key)
                looked.fallbacks += entry.may_stand_in(now)
        if least_s < inf:
            call.caller.freshness.note(least_s, is_shared=viewer is None, may_keep=True)
        if looked.later is not None:
            call.caller.freshness.note(0.0, is_shared=viewer is None, may_keep=True)
        return looked

    def _joined(self, call: Call, viewer: str | None, family: Hashable, found: dict[Any, Any], reply: Reply) -> Reply:
        """What was at hand and what came, and in the place of an error what is old."""
        value: dict[Any, Any] = reply.value
        failed = [key for key, each in value.items() if isinstance(each, SourceError)]
        if not found and not failed:
            return reply
        found |= value
        if failed:
            call.caller.freshness.forbid()
        for key in failed:
            old = self._old(call, viewer, family, key) if isinstance(value[key], _STANDS_IN_FOR) else None
            if old is not None:
                del found[key]
                if old.value is not _ABSENT:
                    found[key] = old
        return copy(reply, value=found)

    def _stand_in(self, call: Call, viewer: str | None, family: Hashable, looked: _Looked, error: SourceError) -> Reply:
        old = {key: value for key in looked.missing if (value := self._old(call, viewer, family, key)) is not None}
        if not old and not looked.found:
            raise error
        call.caller.freshness.forbid()
        if not error.asked:
            self._emit(CallRefused(self._source, call.route, error.outcome, call.caller.request_id))
        self._emit(CallCached(self._source, call.route, CacheResult.STALE))
        if call.keyed is None:
            return Reply(200, old[call.target], is_kept=True)
        absent = {key for key, value in old.items() if value.value is _ABSENT}
        failure = detached(error)
        answers = {key: old.get(key, failure) for key in looked.missing if key not in absent}
        return Reply(200, looked.found | answers, is_kept=True)

    def _old(self, call: Call, viewer: str | None, family: Hashable, key: Any) -> Stale | None:
        now = self._clock()
        entry = self._store.get((viewer, family, key), now)
        if entry is None or not entry.may_stand_in(now) or not _matches(entry, call):
            return None
        return Stale(entry.value, entry.age(now), self._source)

    def _refresh(self, call: Call, viewer: str | None, family: Hashable, keys: list[Any], next: Handler) -> None:
        """Ask anew for what was just served past its time; each key once at a time, and not without bound."""
        due = [key for key in keys if (viewer, family, key) not in self._refreshes]
        if not due or len(self._refreshes) >= _MOST_REFRESHES:
            return
        # A caller of its own: it goes on when the request that caused it is answered.
        # The call carries no identity, so the caller needs none.
        deadline = Deadline.after(_REFRESH_S, self._clock)
        caller = replace(call.caller, identity=None, deadline=deadline, calls=defaultdict(int))
        asked = copy(call, caller=caller, tried=[]) if call.keyed is None else call.keyed.narrow(caller, due)

        async def ask() -> None:
            try:
                await next(asked)
            except SourceError:
                pass  # told by its events; what is kept serves on until its time is over
            finally:
                for key in due:
                    self._refreshes.pop((viewer, family, key), None)

        task = running_loop().create_task(ask())
        self._refreshes.update(dict.fromkeys(((viewer, family, key) for key in due), task))

    async def fill(self, call: Call, next: Handler) -> Reply:
        """Ask, with a validator where there is one, and keep what may be kept. A write drops what it touches."""
        if call.method != "GET":
            return await self._write(call, next)
        viewer = call.viewer
        key = _own_key(call, viewer)
        now = self._clock()
        try:
            entry = self._store.get(key, now) if key in self._store else None
            if entry is not None and entry.lifetimes.etag is not None and _matches(entry, call):
                reply = await self._revalidate(call, key, entry, next)
            else:
                reply = await self._fetch(call, next)
        except _REFUSALS as error:
            # What the viewer may no longer see must not come back when the service is unavailable. But a shared call may be
            # rejected for one of its keys; the others are asked for separately then, so their entries stay.
            is_shared = viewer is None and call.keyed is not None and len(call.keyed.keys) > 1
            if not (is_shared and isinstance(error, Rejected)):
                self._forget(call, viewer)
            raise
        except _STANDS_IN_FOR:
            if self._clock() - now >= self._timeout_s / 2:
                self._slow_until = self._clock() + _SLOW_S
            raise
        self._slow_until = -inf
        return reply

    async def _fetch(self, call: Call, next: Handler) -> Reply:
        asked_at = self._clock()
        writes = self._writes
        reply = await next(call)
        life = self._lifetimes(call, reply, asked_at)
        if life is not reply.lifetimes:
            reply = copy(reply, lifetimes=life)
        if writes == self._writes:
            self._keep(call, call.viewer, reply, life)
        self._emit(CallCached(self._source, call.route, CacheResult.MISS))
        return reply

    async def _revalidate(self, call: Call, key: Key, entry: Entry, next: Handler) -> Reply:
        """Ask with the entry's validator. If it can't be used, drop the entry and ask without."""
        asked_at = self._clock()
        writes = self._writes
        try:
            reply = await next(copy(call, validator=entry.lifetimes.etag))
        except (NotSendable, Rejected, BadAnswer) as error:
            if not (isinstance(error, NotSendable) or error.status in _OF_THE_VALIDATOR):
                raise
            reply = None
        if reply is None or (reply.status == 304 and not is_same_tag(entry.lifetimes.etag, reply.headers.get("etag"))):
            self._store.drop(key)
            return await self._fetch(copy(call, tried=[]), next)
        if reply.status != 304:
            self._emit(CallCached(self._source, call.route, CacheResult.MISS))
            life = self._lifetimes(call, reply, asked_at)
            if writes == self._writes:
                self._keep(call, key[0], reply, life)
            return copy(reply, lifetimes=life)
        self._emit(CallCached(self._source, call.route, CacheResult.REVALIDATED))
        headers = merged(entry.headers, reply.headers)
        life = self._lifetimes(call, Reply(200, None, headers), asked_at)
        if not life.is_kept:
            self._store.drop(key)
        elif writes == self._writes:
            self._put(key, entry.value, life, headers, entry.size, call)
        value = entry.value
        if call.keyed is not None and key[1] != _ANSWER:
            value = {} if value is _ABSENT else {key[2]: value}
        return Reply(200, value, headers, lifetimes=life)

    async def _write(self, call: Call, next: Handler) -> Reply:
        self._drop_touched(call)
        is_settled = False
        try:
            reply = await next(call)
            is_settled = True
        except SourceError as error:
            is_settled = _is_settled(call, error)
            raise
        finally:
            # However it ended, the service may have acted; and what was read while it ran may be from before it.
            self._drop_touched(call)
            if not is_settled:
                self._unsettled.add(call.touches, self._clock())
        return reply

    def _drop_touched(self, call: Call) -> None:
        self._writes += 1
        if call.touches is not None:
            self._store.drop_object(ID, call.touches)
        self._store.drop_families_but(ID)

    def _forget(self, call: Call, viewer: str | None, but: Collection[Any] = ()) -> None:
        """Drop what this viewer has of what the call asks for."""
        self._store.drop((viewer, _ANSWER, call.target))
        if call.keyed is not None:
            for key in call.keyed.keys:
                if key not in but:
                    self._store.drop((viewer, call.keyed.family, key))

    def _keep(self, call: Call, viewer: str | None, reply: Reply, life: Lifetimes) -> None:
        usable = life.fresh_s > 0 or life.if_error_s > 0 or life.while_revalidate_s > 0
        if not life.is_kept or not (usable or life.etag):
            # But for what could not be read this time: that may be shown as it was.
            failed = {key for key, value in reply.value.items() if isinstance(value, SourceError)} if call.keyed else ()
            self._forget(call, viewer, but=failed)
            return
        own = _own_key(call, viewer)
        headers = kept(reply.headers)
        size = reply.size + sum(map(len, headers.values()))
        keyed = call.keyed
        if keyed is None:
            self._put(own, reply.value, life, headers, size, call)
            if usable and call.objects is not None:
                self._keep_objects(call, viewer, ID, call.objects(reply.value), life, headers, size)
        elif len(keyed.keys) > 1 and not usable:
            # Nothing but a validator, and that of the whole: kept as the whole.
            self._put(own, reply.value, life, headers, size, call)
        else:
            values = {key: reply.value.get(key, _ABSENT) for key in keyed.keys}
            self._keep_objects(call, viewer, keyed.family, values, life, headers, size)

    def _keep_objects(
        self,
        call: Call,
        viewer: str | None,
        family: Hashable,
        values: Mapping[Any, Any],
        life: Lifetimes,
        headers: Mapping[str, str],
        size: int,
    ) -> None:
        if not values:
            return
        # An entity tag is that of the whole answer: of an object only where it was asked for by itself.
        alone = call.keyed is not None and len(call.keyed.keys) == 1
        own_life = life if alone else copy(life, etag=None)
        share = size // len(values)
        for key, value in values.items():
            if not isinstance(value, SourceError):
                self._put((viewer, family, key), value, own_life, headers, share, call)

    def _lifetimes(self, call: Call, reply: Reply, asked_at: float) -> Lifetimes:
        """How long an answer may be used, here and by clients. While a write is unsettled: not without asking."""
        now = self._clock()
        life = reply.lifetimes or judge(
            reply.status,
            reply.headers,
            with_identity=call.viewer is not None,
            wall_now=self._wall(),
            delay_s=now - asked_at,
        )
        if self._unsettled.concerns(call, now):
            return copy(life, fresh_s=min(life.fresh_s, 0.0), while_revalidate_s=0.0, if_error_s=0.0)
        return life

    def _put(self, key: Key, value: Any, life: Lifetimes, headers: Mapping[str, str], size: int, call: Call) -> None:
        varied = _varied(call, life.vary) if life.vary else ()
        self._store.put(key, Entry(value, self._clock(), life, headers, size, varied))


class _Unsettled:
    """What writes of unknown outcome may still change: single objects, and always the source's lists."""

    __slots__ = ("_all_until", "_objects", "_until")

    def __init__(self) -> None:
        self._until = -inf
        self._all_until = -inf
        self._objects: dict[Hashable, float] = {}

    def add(self, key: Hashable | None, now: float) -> None:
        """Note a write of unknown outcome. `key` is that of the object that it changes; None if it creates one."""
        self._until = now + _UNSETTLED_S
        if key is None:
            return
        if len(self._objects) >= _MOST_UNSETTLED:
            self._objects = {each: until for each, until in self._objects.items() if until > now}
        if len(self._objects) < _MOST_UNSETTLED:
            self._objects[key] = self._until
        else:
            self._all_until = self._until

    def concerns(self, call: Call, now: float) -> bool:
        """Whether an unsettled write may still change what the read asks for."""
        if now >= self._until:
            return False
        if call.keyed is None or call.keyed.family != ID or now < self._all_until:
            return True
        return any(now < self._objects.get(key, -inf) for key in call.keyed.keys)


def _is_settled(call: Call, error: SourceError) -> bool:
    """Whether a failed write can no longer take effect.

    After several attempts this is unknown: the last one's error says nothing about earlier ones.
    """
    if len(call.tried) > 1:
        return False
    if not error.asked or isinstance(error, (NotSendable, Busy, *_REFUSALS)):
        return True
    return isinstance(error, NotReached) and not error.sent


def _own_key(call: Call, viewer: str | None) -> Key:
    """Where the answer to this very call is kept: by its one key, or by its target."""
    keyed: RequestedKeys | None = call.keyed
    if keyed is not None and len(keyed.keys) == 1:
        return (viewer, keyed.family, keyed.keys[0])
    return (viewer, _ANSWER, call.target)


def _matches(entry: Entry, call: Call) -> bool:
    """Whether the call sends what the answer depended on (RFC 9111, section 4.1)."""
    vary = entry.lifetimes.vary
    return not vary or _varied(call, vary) == entry.vary_values


def _varied(call: Call, names: tuple[str, ...]) -> tuple[str, ...]:
    sent = {name.lower(): value for name, value in request_headers(call)}
    return tuple(sent.get(name, "") for name in names)
