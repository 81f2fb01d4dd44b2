"""Cache: an HTTP cache (RFC 9111) of what services mark cacheable, one entry for each object. Two policies of the stack.

`CacheLookup` replies from the store, calls the service only for what is missing, and falls back on older entries when the
call fails (RFC 5861). `CacheFill`, below single flight, stores each reply once for all requests that wait for it,
revalidates with an entity tag, and drops what a write changes.

What holds:
- The reply to a call that carries an identity is cached for that viewer alone, whatever its headers say. So nothing that was
  fetched with one user's credentials is shown to another. The reply to a call without identity is cached for all.
- A batch or a page fills one entry for each of its objects.
- A reply to a read that began before a write ended is not cached.
- After a write of unknown outcome, everything that it may still change is requested again for each read.
"""

import time
from typing import Annotated

from annotated_types import Ge, Le

from bff.runtime.clock import Clock
from bff.runtime.options import options
from bff.upstream.events import Listener
from bff.upstream.traffic.cache_fill import CacheFill
from bff.upstream.traffic.cache_lookup import CacheLookup
from bff.upstream.traffic.cache_rules import CacheState
from bff.upstream.traffic.store import Store


@options
class CacheOptions:
    """The HTTP cache of one source.

    Attributes:
        enabled: whether replies are cached.
        max_entries: objects and whole replies.
        max_bytes: an estimate of the memory of all entries. One above an eighth of it is not kept.
    """

    enabled: bool = True
    max_entries: Annotated[int, Ge(1), Le(10_000_000)] = 10_000
    max_bytes: Annotated[int, Ge(1024), Le(2**40)] = 64 * 1024 * 1024


class Cache:
    """The cache of one source. `lookup` and `fill` are its two policies.

    `timeout_s` is the time limit of one attempt: a read with an older entry to fall back on waits hardly longer.
    """

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
        self._state = CacheState(Store(options.max_entries, options.max_bytes))
        self.lookup = CacheLookup(source, self._state, emit, clock, timeout_s)
        self.fill = CacheFill(source, self._state, emit, clock, wall, timeout_s)

    def __repr__(self) -> str:
        return f"<Cache {self._source}: {self._state.store!r}, {self.lookup.refreshing} refreshing>"

    def clear(self) -> None:
        """Drop all entries."""
        self._state.clear()

    async def aclose(self) -> None:
        """Stop the refreshes in the background."""
        await self.lookup.aclose()
