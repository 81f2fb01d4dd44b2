"""Halving: a batch that the service refuses as a whole costs only the keys that spoil it.

A malformed id, an id that the user may not see, a row that the service can't serialize: many services then refuse the whole
batch. The batch is halved until the key that spoils it is alone:
1. the first half of the suspects is requested. If it succeeds, the key is in the other half.
2. if it fails, the key is in it. The other half is put aside.
3. the last suspect is the key: it has the error, and is not requested again.
4. what was put aside is requested in one call. If that fails too, its keys have that error.
That takes at most log2(n) + 1 calls, each from the retry budget. Keys that could not be separated, for lack of budget, are
requested apart from the others for a while; so the next load continues where this one ended.

Only the first failure counts against the service: else one bad id of a client could open the breaker.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache
from bff.runtime.clock import Clock
from bff.runtime.error_copies import again, detached
from bff.upstream.errors import BadAnswer, Forbidden, Rejected, SourceError
from bff.upstream.events import CallRetried, Listener
from bff.upstream.traffic.budget import RetryBudget
from bff.upstream.traffic.call import Call, Handler, Reply, RequestedKeys
from bff.upstream.traffic.shared_call import merge

APART_S = 30.0
"""Seconds for which a key that spoiled a batch is requested apart from the others."""
_MOST_BYTES = 1024 * 1024
_HALVED = "halved"


class HalvingPolicy:
    """The policy of one source."""

    def __init__(self, source: str, budget: RetryBudget, emit: Listener, clock: Clock) -> None:
        self._source = source
        self._budget = budget
        self._emit = emit
        self._clock = clock
        self._apart: BoundedCache[tuple[Hashable, Hashable, Any], float] = BoundedCache(max_weight=_MOST_BYTES)

    def __repr__(self) -> str:
        return f"<HalvingPolicy {self._source}: {len(self._apart)} keys apart>"

    async def __call__(self, call: Call, next: Handler) -> Reply:
        """Call `next`, and halve a batch that the service refuses. Raises what `next` raises for anything else."""
        keyed = call.keyed
        if keyed is None or len(keyed.keys) < 2:
            return await next(call)
        if len(self._apart):
            apart = self._known(call, keyed)
            if apart and len(apart) < len(keyed.keys):
                return await self._separate(call, keyed, apart, next)
        try:
            return await next(call)
        except SourceError as error:
            if not is_refused_as_a_whole(error):
                raise
            failure = error
        try:
            return await self._halve(call, keyed, failure, next)
        finally:
            del failure  # its traceback refers to this frame: the cycle would stay until the garbage collector runs

    async def _separate(self, call: Call, keyed: RequestedKeys, apart: Sequence[Any], next: Handler) -> Reply:
        """Request the keys that spoiled a batch before apart from the others."""
        others = [key for key in keyed.keys if key not in apart]
        values: dict[Any, Any] = {}
        headers: list[Mapping[str, str]] = []
        for keys in (others, apart):
            try:
                reply = await self(keyed.narrow(call.caller, keys), next)
            except SourceError as error:
                if not is_refused_as_a_whole(error):
                    raise
                values |= dict.fromkeys(keys, detached(error))
            else:
                headers.append(reply.headers)
                values |= reply.value
                self._forget(call, keyed, [key for key in keys if not isinstance(reply.value.get(key), SourceError)])
        return merge(values, headers)

    async def _halve(self, call: Call, keyed: RequestedKeys, failure: SourceError, next: Handler) -> Reply:
        """The values of all keys, with an error for those that spoil the batch. Raises the failure if nothing was gained."""
        suspects = list(keyed.keys)
        aside: list[Any] = []
        values: dict[Any, Any] = {}
        headers: list[Mapping[str, str]] = []
        may_request_aside = False
        while len(suspects) > 1 and self._take(call):
            half = suspects[: len(suspects) // 2]
            found = await self._request(call, keyed, half, next)
            if isinstance(found, Reply):
                values |= found.value
                headers.append(found.headers)
                suspects = suspects[len(half) :]
                continue
            failure = found
            aside += suspects[len(half) :]
            suspects = half
            may_request_aside = may_request_aside or self._take(call)
        if aside:
            found = await self._request(call, keyed, aside, next) if may_request_aside else failure
            if isinstance(found, Reply):
                values |= found.value
                headers.append(found.headers)
            else:
                values |= dict.fromkeys(aside, detached(found))
        if not headers:
            failure = again(failure)
            failure.is_of_every_key = len(suspects) < len(keyed.keys)
            raise failure
        values |= dict.fromkeys(suspects, detached(failure))
        self._remember(call, keyed, suspects)
        return merge(values, headers)

    def _take(self, call: Call) -> bool:
        """Whether one more call may be made."""
        return call.caller.deadline.left() > 0 and self._budget.take()

    async def _request(self, call: Call, keyed: RequestedKeys, keys: Sequence[Any], next: Handler) -> Reply | SourceError:
        """The reply for some of the keys, or the refusal. Raises any other error."""
        self._emit(CallRetried(self._source, call.route, _HALVED, 0.0, call.caller.request_id))
        try:
            return await next(replace(keyed.narrow(call.caller, keys), is_part=True))
        except SourceError as error:
            if not is_refused_as_a_whole(error):
                raise
            return detached(error)

    def _known(self, call: Call, keyed: RequestedKeys) -> list[Any]:
        """The keys that spoiled a batch lately."""
        now, viewer = self._clock(), call.viewer
        known = []
        for key in keyed.keys:
            until = self._apart.get((viewer, keyed.family, key))
            if until is not None and now < until:
                known.append(key)
        return known

    def _remember(self, call: Call, keyed: RequestedKeys, keys: Sequence[Any]) -> None:
        until, viewer = self._clock() + APART_S, call.viewer
        for key in keys:
            self._apart.put((viewer, keyed.family, key), until, 2 * ENTRY_BYTES)

    def _forget(self, call: Call, keyed: RequestedKeys, keys: Sequence[Any]) -> None:
        viewer = call.viewer
        for key in keys:
            self._apart.drop((viewer, keyed.family, key))


def is_refused_as_a_whole(error: SourceError) -> bool:
    """Whether the service answered, and the reason may be one of the keys. 401, 429, 502, 503, 504 concern all of them."""
    if isinstance(error, Rejected | Forbidden):
        return True
    return isinstance(error, BadAnswer) and error.status is not None and error.status >= 400 and not error.retriable
