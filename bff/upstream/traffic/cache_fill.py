"""Cache fill: stores replies that may be cached, revalidates with an entity tag, and drops what a write changes."""

from collections.abc import Collection, Hashable, Mapping
from math import inf
from typing import Any

from msgspec.structs import replace as copy

from bff.runtime.clock import Clock
from bff.upstream.errors import BadAnswer, NotSendable, Rejected, SourceError
from bff.upstream.events import CacheResult, CallCached, Listener
from bff.upstream.traffic.cache_rules import (
    ABSENT,
    OF_THE_VALIDATOR,
    REFUSALS,
    STANDS_IN_FOR,
    WHOLE,
    CacheState,
    UnsettledWrites,
    is_settled,
    key_of_reply,
    matches,
    vary_values,
)
from bff.upstream.traffic.call import ID, Call, Handler, Reply
from bff.upstream.traffic.freshness import Lifetimes, is_same_tag, judge, kept, merged
from bff.upstream.traffic.store import Entry, Key


class CacheFill:
    """The inner policy of a source's cache."""

    def __init__(self, source: str, state: CacheState, emit: Listener, clock: Clock, wall: Clock, timeout_s: float) -> None:
        self._source = source
        self._state = state
        self._store = state.store
        self._emit = emit
        self._clock = clock
        self._wall = wall
        self._timeout_s = timeout_s
        self._unsettled = UnsettledWrites()

    def __repr__(self) -> str:
        return f"<CacheFill {self._source}: {self._store!r}>"

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Call `next`, with a validator if an entry has one, and store the reply if it may be cached.

        A write drops the entries of what it changes. Raises what `next` raises.
        """
        if not call.is_read:
            return await self._write(call, next)
        viewer = call.viewer
        key = key_of_reply(call, viewer)
        now = self._clock()
        try:
            entry = self._store.find(key, now) if key in self._store else None
            if entry is not None and entry.lifetimes.etag is not None and matches(entry, call):
                reply = await self._revalidate(call, key, entry, next)
            else:
                reply = await self._fetch(call, next)
        except REFUSALS as error:
            # What the viewer may no longer see must not come back when the service is unavailable. But a shared call may be
            # rejected for one of its keys; the others are requested separately then, so their entries stay.
            is_shared = viewer is None and call.keyed is not None and len(call.keyed.keys) > 1
            if not (is_shared and isinstance(error, Rejected)):
                self._drop_requested(call, viewer)
            raise
        except STANDS_IN_FOR:
            if (failed_at := self._clock()) - now >= self._timeout_s / 2:
                self._state.mark_slow(failed_at)
            raise
        self._state.slow_until = -inf
        return reply

    async def _fetch(self, call: Call, next: Handler) -> Reply:
        sent_at = self._clock()
        writes = self._state.writes
        reply = await next(call)
        life = self._lifetimes(call, reply, sent_at)
        if life is not reply.lifetimes:
            reply = copy(reply, lifetimes=life)
        if writes == self._state.writes:
            self._keep(call, call.viewer, reply, life)
        self._emit(CallCached(self._source, call.route, CacheResult.MISS))
        return reply

    async def _revalidate(self, call: Call, key: Key, entry: Entry, next: Handler) -> Reply:
        """Call with the entry's validator. If the service can't use it, drop the entry and call without."""
        sent_at = self._clock()
        writes = self._state.writes
        try:
            reply = await next(copy(call, validator=entry.lifetimes.etag))
        except (NotSendable, Rejected, BadAnswer) as error:
            if not (isinstance(error, NotSendable) or error.status in OF_THE_VALIDATOR):
                raise
            reply = None
        if reply is None or (reply.status == 304 and not is_same_tag(entry.lifetimes.etag, reply.headers.get("etag"))):
            self._store.drop(key)
            return await self._fetch(copy(call, tried=[]), next)
        if reply.status != 304:
            self._emit(CallCached(self._source, call.route, CacheResult.MISS))
            life = self._lifetimes(call, reply, sent_at)
            if writes == self._state.writes:
                self._keep(call, key[0], reply, life)
            return copy(reply, lifetimes=life)
        self._emit(CallCached(self._source, call.route, CacheResult.REVALIDATED))
        headers = merged(entry.headers, reply.headers)
        life = self._lifetimes(call, Reply(200, None, headers), sent_at)
        if not life.is_kept:
            self._store.drop(key)
        elif writes == self._state.writes:
            self._put(key, entry.value, life, headers, entry.size, call)
        value = entry.value
        if call.keyed is not None and key[1] != WHOLE:
            value = {} if value is ABSENT else {key[2]: value}
        return Reply(200, value, headers, lifetimes=life)

    async def _write(self, call: Call, next: Handler) -> Reply:
        self._drop_changed(call)
        settled = False
        try:
            reply = await next(call)
            settled = True
        except SourceError as error:
            settled = is_settled(call, error)
            raise
        finally:
            # Whatever the outcome, the service may have acted; and a read during the write may have got the old state.
            self._drop_changed(call)
            if not settled:
                self._unsettled.add(call.touches, self._clock())
        return reply

    def _drop_changed(self, call: Call) -> None:
        """Drop the entries of the object that the write changes, and all lists and whole replies."""
        self._state.writes += 1
        if call.touches is not None:
            self._store.drop_object(ID, call.touches)
        self._store.drop_families_but(ID)

    def _drop_requested(self, call: Call, viewer: str | None, but: Collection[Any] = ()) -> None:
        """Drop this viewer's entries of what the call requests, except those under the keys `but`."""
        self._store.drop((viewer, WHOLE, call.subject))
        if call.keyed is not None:
            for key in call.keyed.keys:
                if key not in but:
                    self._store.drop((viewer, call.keyed.family, key))

    def _keep(self, call: Call, viewer: str | None, reply: Reply, life: Lifetimes) -> None:
        usable = life.fresh_s > 0 or life.if_error_s > 0 or life.while_revalidate_s > 0
        if not life.is_kept or not (usable or life.etag):
            # An object that could not be read this time keeps its entry, which may still stand in.
            failed = {key for key, value in reply.value.items() if isinstance(value, SourceError)} if call.keyed else ()
            self._drop_requested(call, viewer, but=failed)
            return
        own = key_of_reply(call, viewer)
        headers = kept(reply.headers)
        size = reply.size + sum(map(len, headers.values()))
        keyed = call.keyed
        if keyed is None:
            self._put(own, reply.value, life, headers, size, call)
            if usable and call.objects is not None:
                self._keep_objects(call, viewer, ID, call.objects(reply.value), life, headers, size)
        elif len(keyed.keys) > 1 and not usable:
            # It has nothing but a validator, which is that of the whole reply. So the whole reply is kept.
            self._put(own, reply.value, life, headers, size, call)
        else:
            values = {key: reply.value.get(key, ABSENT) for key in keyed.keys}
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
        # An entity tag is that of the whole reply: that of an object only if the object was requested alone.
        alone = call.keyed is not None and len(call.keyed.keys) == 1
        own_life = life if alone else copy(life, etag=None)
        share = size // len(values)
        for key, value in values.items():
            if not isinstance(value, SourceError):
                self._put((viewer, family, key), value, own_life, headers, share, call)

    def _lifetimes(self, call: Call, reply: Reply, sent_at: float) -> Lifetimes:
        """How long a reply may be used, here and by clients. While a write is unsettled: only after revalidation."""
        now = self._clock()
        life = reply.lifetimes or judge(
            reply.status,
            reply.headers,
            with_identity=call.viewer is not None,
            wall_now=self._wall(),
            delay_s=now - sent_at,
        )
        if self._unsettled.concerns(call, now):
            return copy(life, fresh_s=min(life.fresh_s, 0.0), while_revalidate_s=0.0, if_error_s=0.0)
        return life

    def _put(self, key: Key, value: Any, life: Lifetimes, headers: Mapping[str, str], size: int, call: Call) -> None:
        varied = vary_values(call, life.vary) if life.vary else ()
        self._store.keep(key, Entry(value, self._clock(), life, headers, size, varied))
