"""Whole answers that are kept: those of anonymous queries that everybody may have, for as long as all that went into them.

The key of an answer is its operation, which belongs to one variant, and its variables. A write through this gateway evicts
all answers, unless the service rejected it: which of them it affects is not known.
"""

import time
from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b
from typing import Annotated, Any

from annotated_types import Ge, Le

from bff.request import http
from bff.runtime.bounded_cache import BoundedCache
from bff.runtime.clock import Clock
from bff.runtime.options import options
from bff.upstream.events import CallEnded, Event

_OVERHEAD_BYTES = 500
_UNSETTLED_S = 30.0
"""Seconds after a write without an answer in which nothing is cached: the write may still take effect."""


@options
class ResponseCacheOptions:
    """Whether whole answers are kept, and how many."""

    enabled: bool = False
    max_entries: Annotated[int, Ge(1), Le(1_000_000)] = 1000
    max_bytes: Annotated[int, Ge(1024), Le(2**34)] = 16 * 1024 * 1024


def response_key(operation: bytes, variables: Mapping[str, Any] | None) -> Hashable:
    """The cache key of an answer; None if it can't be cached because its variables have no canonical form.

    `operation` is the operation's digest. All keys have the same size, whatever the client sent.
    """
    try:
        canonical = http.canonical(variables)
    except ValueError:
        return None
    return (operation, blake2b(canonical, digest_size=32).digest())


class ResponseCache:
    """The answers of one variant."""

    def __init__(self, options: ResponseCacheOptions, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._kept: BoundedCache[Hashable, tuple[float, bytes]] = BoundedCache(
            max_weight=options.max_bytes, max_entries=options.max_entries
        )
        self._settled_at = 0.0
        self.generation = 0
        """Incremented by `clear`: an answer that was begun before must not be cached after it."""

    def __repr__(self) -> str:
        return f"<ResponseCache: {len(self._kept)}, {self._kept.weight} bytes>"

    def get(self, key: Hashable) -> tuple[bytes, float] | None:
        """The answer, and for how many seconds it may still be used."""
        found = self._kept.get(key)
        if found is None:
            return None
        left_s = found[0] - self._clock()
        if left_s <= 0:
            self._kept.drop(key)
            return None
        return found[1], left_s

    def put(self, key: Hashable, body: bytes, left_s: float, generation: int) -> None:
        """Keep an answer that was begun in that generation."""
        now = self._clock()
        if generation == self.generation and left_s > 0 and now >= self._settled_at:
            self._kept.put(key, (now + left_s, body), len(body) + _OVERHEAD_BYTES)

    def clear(self, unsettled_s: float = 0.0) -> None:
        """Evict everything, and cache nothing for `unsettled_s` seconds."""
        self._kept.clear()
        self.generation += 1
        self._settled_at = max(self._settled_at, self._clock() + unsettled_s)


class DropOnWrite:
    """A listener: evicts cached answers after a write to a service, unless the service rejected it.

    It watches calls and not operations: a mutation without a write evicts nothing, and a write that outlives its request
    still does.
    """

    def __init__(self, kept: Iterable[ResponseCache]) -> None:
        self._kept = tuple(kept)

    def __call__(self, event: Event) -> None:
        """Something happened around a call."""
        if type(event) is not CallEnded or event.method == "GET":
            return
        if event.status is not None and 400 <= event.status < 500:
            return
        for each in self._kept:
            each.clear(_UNSETTLED_S if event.status is None else 0.0)
