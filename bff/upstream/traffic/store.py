"""The cache's store: entries by viewer, family and key, limited in number and bytes. The least recently used is evicted.

It finds and drops entries. How long an entry may be used is decided by its lifetimes.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from bff.runtime.bounded_cache import BoundedCache
from bff.upstream.traffic.freshness import Lifetimes

_OVERHEAD_BYTES = 400
"""An entry's memory besides its share of the body. An estimate."""
_LARGEST_SHARE = 8
"""An entry larger than the store's size divided by this is not kept: it would evict too many others."""

Key = tuple[str | None, Hashable, Hashable]
"""Viewer, family, key. The viewer is None for an entry that all callers share."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached reply, or one object of it.

    Attributes:
        value: the decoded reply or object.
        came_at: when it arrived, by the monotonic clock, in seconds.
        lifetimes: how long it may be used.
        headers: those of the reply from which the lifetimes were computed.
        size: its share of the reply, in bytes.
        vary_values: the values of the request headers that the reply's `Vary` names, in that order.
    """

    value: Any
    came_at: float
    lifetimes: Lifetimes
    headers: Mapping[str, str]
    size: int
    vary_values: tuple[str, ...] = ()

    def age(self, now: float) -> float:
        """Its age in seconds."""
        return self.lifetimes.age_s + now - self.came_at

    def is_fresh(self, now: float) -> bool:
        """Whether it may be used without a call."""
        return now - self.came_at < self.lifetimes.fresh_s

    def may_revalidate_later(self, now: float) -> bool:
        """Whether it may be used while a call in the background refreshes it (`stale-while-revalidate`)."""
        return now - self.came_at < self.lifetimes.fresh_s + self.lifetimes.while_revalidate_s

    def may_stand_in(self, now: float) -> bool:
        """Whether it may be used in place of a failed call (`stale-if-error`)."""
        return now - self.came_at < self.lifetimes.fresh_s + self.lifetimes.if_error_s

    def is_of_use(self, now: float) -> bool:
        """Whether it is still worth keeping once it is no longer fresh."""
        return self.lifetimes.etag is not None or self.may_revalidate_later(now) or self.may_stand_in(now)


class Store(BoundedCache[Key, Entry]):
    """A bounded cache of entries, with an index by object: a write drops an object for all viewers. Not thread-safe.

    A subclass rather than a wrapper: `find` is called for each key of each read.
    """

    __slots__ = ("_viewers",)

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        super().__init__(max_weight=max_bytes, max_entries=max_entries, largest_share=_LARGEST_SHARE)
        self._viewers: dict[Hashable, dict[Hashable, set[str | None]]] = {}
        """By family, then by key: the viewers who have an entry."""

    def __repr__(self) -> str:
        return f"<Store {len(self)} entries, {self.weight} bytes>"

    def find(self, key: Key, now: float) -> Entry | None:
        """The entry, which counts as used now. One that is of no more use is dropped."""
        found = self._entries.get(key)
        if found is None:
            return None
        entry = found[0]
        if not (entry.is_fresh(now) or entry.is_of_use(now)):
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def keep(self, key: Key, entry: Entry) -> None:
        """Keep an entry, replacing one with the same key. One that is too large is not kept."""
        if self.put(key, entry, entry.size + _OVERHEAD_BYTES):
            viewer, family, name = key
            self._viewers.setdefault(family, {}).setdefault(name, set()).add(viewer)

    def drop(self, key: Key) -> Entry | None:
        """Remove an entry, also from the index. Returns it; None if there was none."""
        found = self._entries.pop(key, None)  # not super().drop: each reply that isn't cached drops keys
        if found is None:
            return None
        self._weight -= found[1]
        viewer, family, name = key
        names = self._viewers[family]
        names[name].discard(viewer)
        if not names[name]:
            del names[name]
            if not names:
                del self._viewers[family]
        return found[0]

    def drop_object(self, family: Hashable, key: Hashable) -> None:
        """Remove the entries of all viewers under a key of a family."""
        for viewer in tuple(self._viewers.get(family, {}).get(key, ())):
            self.drop((viewer, family, key))

    def drop_families_but(self, family: Hashable) -> None:
        """Remove the entries of all other families."""
        for other in [each for each in self._viewers if each != family]:
            for key in tuple(self._viewers[other]):
                self.drop_object(other, key)

    def clear(self) -> None:
        """Remove all entries."""
        super().clear()
        self._viewers.clear()
