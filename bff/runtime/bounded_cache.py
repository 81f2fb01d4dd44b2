"""A cache with limits on the total weight and the number of its entries. The least recently used entry is evicted.

Use it for entries that a client can choose (documents, tokens, addresses). A limit on the number of entries alone doesn't
limit the memory, since a client decides how large an entry is.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_BYTES = 200
"""An entry's memory besides its key and value: two dictionary slots, a link, a tuple. An estimate."""


class BoundedCache(Generic[K, V]):
    """A mapping with a total weight of at most `max_weight`. Not thread-safe.

    The caller chooses the unit of weight, usually bytes. An entry heavier than `max_weight / largest_share` is not kept,
    since it would evict too many others.
    """

    __slots__ = ("_entries", "_largest", "_max_entries", "_max_weight", "_weight")

    def __init__(
        self,
        *,
        max_weight: int,
        max_entries: int | None = None,
        largest_share: int = 1,
    ) -> None:
        """Make an empty cache.

        Args:
            max_weight: of all entries together.
            max_entries: how many there may be; None for no limit.
            largest_share: an entry weighs at most `max_weight / largest_share`.
        """
        self._max_weight = max_weight
        self._max_entries = max_entries
        self._largest = max_weight // largest_share
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
        """The total weight of all entries."""
        return self._weight

    def get(self, key: K) -> V | None:
        """The value; None if there is none. The entry counts as used now."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def peek(self, key: K) -> V | None:
        """The value; None if there is none. This does not count as a use."""
        found = self._entries.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, weight: int) -> bool:
        """Keep an entry, replacing one with the same key. False if it is too heavy to be kept."""
        self.drop(key)
        if weight > self._largest:
            return False
        self._entries[key] = (value, weight)
        self._weight += weight
        self._evict()
        return True

    def reweigh(self, key: K, weight: int) -> None:
        """Change an entry's weight. This may evict it or others."""
        found = self._entries.get(key)
        if found is None:
            return
        self._entries[key] = (found[0], weight)
        self._weight += weight - found[1]
        if weight > self._largest:
            self.drop(key)
        self._evict()

    def drop(self, key: K) -> V | None:
        """Remove an entry. Returns its value; None if there was none."""
        found = self._entries.pop(key, None)
        if found is None:
            return None
        self._weight -= found[1]
        return found[0]

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()
        self._weight = 0

    def _evict(self) -> None:
        while self._weight > self._max_weight or (self._max_entries is not None and len(self._entries) > self._max_entries):
            self.drop(next(iter(self._entries)))
