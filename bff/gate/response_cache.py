"""Response cache for anonymous queries. An entry lives as long as the shortest-lived upstream reply in it.

The key of an entry is its operation, which belongs to one variant, and its variables. A write through this gateway evicts
all entries, because it is not known which ones it affects; unless the service rejected the write.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Annotated, Any

import orjson
from annotated_types import Ge, Le

from bff.runtime.bounded_cache import BoundedCache
from bff.runtime.clock import Clock
from bff.runtime.options import options
from bff.upstream.events import CallEnded, Event

_OVERHEAD_BYTES = 500
_UNSETTLED_S = 30.0
"""Seconds after a write without a reply in which nothing is cached: the write may still take effect."""


@options
class ResponseCacheOptions:
    """Whether responses are cached, and the limits of the cache of one variant."""

    enabled: bool = False
    max_entries: Annotated[int, Ge(1), Le(1_000_000)] = 1000
    max_bytes: Annotated[int, Ge(1024), Le(2**34)] = 16 * 1024 * 1024


def response_key(operation: bytes, variables: Mapping[str, Any] | None, forwarded: Sequence[bytes] = ()) -> Hashable:
    """The cache key of a response; None if it can't be cached because its variables have no canonical form.

    `operation` is the operation's digest, `forwarded` are the values of the headers that services get. All keys have the
    same size, so a client can't make them large.
    """
    try:
        canonical = orjson.dumps(variables or {}, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # orjson refuses integers beyond 64 bits and unpaired surrogates
        return None
    digest = blake2b(canonical, digest_size=32)
    for value in forwarded:
        digest.update(b"%d:%s" % (len(value), value))
    return (operation, digest.digest())


class ResponseCache:
    """The cached response bodies of one variant."""

    def __init__(self, options: ResponseCacheOptions, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._entries: BoundedCache[Hashable, tuple[float, bytes]] = BoundedCache(
            max_weight=options.max_bytes, max_entries=options.max_entries
        )
        self._settled_at = 0.0
        self.generation = 0
        """Incremented by `clear`. A response whose execution began in an earlier generation must not be cached."""

    def __repr__(self) -> str:
        return f"<ResponseCache: {len(self._entries)}, {self._entries.weight} bytes>"

    def get(self, key: Hashable) -> tuple[bytes, float] | None:
        """The body, and the seconds for which it is still fresh; None if there is no fresh entry."""
        found = self._entries.get(key)
        if found is None:
            return None
        left_s = found[0] - self._clock()
        if left_s <= 0:
            self._entries.drop(key)
            return None
        return found[1], left_s

    def put(self, key: Hashable, body: bytes, left_s: float, generation: int) -> None:
        """Cache a body for `left_s` seconds, unless `generation`, in which its execution began, has ended."""
        now = self._clock()
        if generation == self.generation and left_s > 0 and now >= self._settled_at:
            self._entries.put(key, (now + left_s, body), len(body) + _OVERHEAD_BYTES)

    def clear(self, unsettled_s: float = 0.0) -> None:
        """Evict everything, and cache nothing for `unsettled_s` seconds."""
        self._entries.clear()
        self.generation += 1
        self._settled_at = max(self._settled_at, self._clock() + unsettled_s)


class DropOnWrite:
    """A listener that evicts all cached responses after a write to a service, unless the service rejected it.

    It watches calls and not operations. A mutation without a write evicts nothing, and a write that outlives its request
    evicts as any other.
    """

    def __init__(self, caches: Callable[[], Iterable[ResponseCache]]) -> None:
        """`caches` returns those in use: a reload of the settings may replace them."""
        self._caches = caches

    def __call__(self, event: Event) -> None:
        """Evict if the event is the end of such a write."""
        if type(event) is not CallEnded or event.is_read:
            return
        if event.status is not None and 400 <= event.status < 500:
            return
        for each in self._caches():
            each.clear(_UNSETTLED_S if event.status is None else 0.0)
