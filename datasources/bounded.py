"""A cache that is bounded by what its entries weigh, and by how many there are. The least recently used entry is evicted.

Whatever a client can choose (a document, a token, an address) is kept in one of these. A bound on the number of entries
alone is no bound on memory: a client decides how large an entry is.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_BYTES = 200
"""What an entry costs besides its key and its value: two dictionary slots, a link, a tuple. An estimate."""


class BoundedCache(Generic[K, V]):
    """A mapping of at most `max_weight` in total. Not thread-safe: it lives on one event loop.

    The unit of weight is the caller's, bytes as a rule. An entry that weighs more than `1 / largest_share` of the whole is
    not kept, since it would evict too much.
    """

    __slots__ = ("_entries", "_largest", "_max_entries", "_max_weight", "_on_evict", "_weight")

    def __init__(
        self,
        *,
        max_weight: int,
        max_entries: int | None = None,
        largest_share: int = 1,
        on_evict: Callable[[K, V], None] | None = None,
    ) -> None:
        """Make an empty cache.

        Args:
            max_weight: of all entries together.
            max_entries: how many there may be; None where the weight alone decides.
            largest_share: an entry weighs at most this part of `max_weight`.
            on_evict: called with each entry that is evicted, dropped, replaced or cleared.
        """
        self._max_weight = max_weight
        self._max_entries = max_entries
        self._largest = max_weight // largest_share
        self._on_evict = on_evict
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def __repr__(self) -> str:
        return f"<BoundedCache {len(self._entries)} entries, {self._weight} of {self._max_weight}>"

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    @property
    def weight(self) -> int:
        """Of all entries together."""
        return self._weight

    def get(self, key: K) -> V | None:
        """The value, which counts as used now; None where there is none."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def peek(self, key: K) -> V | None:
        """The value, without counting as a use."""
        found = self._entries.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, weight: int) -> bool:
        """Keep an entry in place of any other with that key. False where it is too heavy to be kept at all."""
        self.drop(key)
        if weight > self._largest:
            return False
        self._entries[key] = (value, weight)
        self._weight += weight
        self._evict()
        return True

    def reweigh(self, key: K, weight: int) -> None:
        """Say that an entry weighs something else now, as after it was compiled. It may be evicted for it, as any other."""
        found = self._entries.get(key)
        if found is None:
            return
        self._entries[key] = (found[0], weight)
        self._weight += weight - found[1]
        if weight > self._largest:
            self.drop(key)
        self._evict()

    def drop(self, key: K) -> V | None:
        """Forget an entry. Its value, None where there was none."""
        found = self._entries.pop(key, None)
        if found is None:
            return None
        self._weight -= found[1]
        if self._on_evict is not None:
            self._on_evict(key, found[0])
        return found[0]

    def clear(self) -> None:
        """Forget everything."""
        entries, self._entries = self._entries, OrderedDict()
        self._weight = 0
        if self._on_evict is not None:
            for key, (value, _) in entries.items():
                self._on_evict(key, value)

    def _evict(self) -> None:
        while self._weight > self._max_weight or (self._max_entries is not None and len(self._entries) > self._max_entries):
            self.drop(next(iter(self._entries)))
