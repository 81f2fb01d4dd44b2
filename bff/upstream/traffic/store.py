"""The cache's store: entries by viewer, family and key, bounded in number and bytes. What was unused for longest goes first.

It knows how to find and to forget; what an entry is good for, the entry's lifetimes say.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from bff.upstream.traffic.freshness import Lifetimes

_OVERHEAD_BYTES = 400
"""What an entry takes beside its share of the body, about."""
_LARGEST_SHARE = 8
"""An entry larger than this part of the whole is not kept: it would drive out too much."""

Key = tuple[str | None, Hashable, Hashable]
"""Viewer, family, key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer that is kept. `came_at` is of the monotonic clock; `headers` are those that its lifetimes were made of."""

    value: Any
    came_at: float
    lifetimes: Lifetimes
    headers: Mapping[str, str]
    size: int
    vary_values: tuple[str, ...] = ()

    def age(self, now: float) -> float:
        """How old it is, in seconds."""
        return self.lifetimes.age_s + now - self.came_at

    def is_fresh(self, now: float) -> bool:
        """Whether it may be used without asking."""
        return now - self.came_at < self.lifetimes.fresh_s

    def may_revalidate_later(self, now: float) -> bool:
        """Whether it may be used while it is asked for anew."""
        return now - self.came_at < self.lifetimes.fresh_s + self.lifetimes.while_revalidate_s

    def may_stand_in(self, now: float) -> bool:
        """Whether it may be used where asking failed."""
        return now - self.came_at < self.lifetimes.fresh_s + self.lifetimes.if_error_s

    def is_of_use(self, now: float) -> bool:
        """Whether it may be used in any way at all."""
        return self.lifetimes.etag is not None or self.may_revalidate_later(now) or self.may_stand_in(now)


class Store:
    """Not thread-safe: it lives on one event loop."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._viewers: dict[Hashable, dict[Hashable, set[str | None]]] = {}
        """By family, and there by key, for whom there is an entry."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __repr__(self) -> str:
        return f"<Store {len(self)} entries, {self._bytes} bytes>"

    @property
    def bytes(self) -> int:
        """What all entries take, about."""
        return self._bytes

    def get(self, key: Key, now: float) -> Entry | None:
        """The entry, which counts as used then; one that is of no more use is dropped."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not (entry.is_fresh(now) or entry.is_of_use(now)):
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: Key, entry: Entry) -> None:
        """Keep an entry, in place of one of the same key; what has not been used for longest makes room."""
        if key in self._entries:
            self.drop(key)
        size = entry.size + _OVERHEAD_BYTES
        if size > self._max_bytes // _LARGEST_SHARE:
            return
        self._entries[key] = entry
        viewer, family, name = key
        self._viewers.setdefault(family, {}).setdefault(name, set()).add(viewer)
        self._bytes += size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self.drop(next(iter(self._entries)))

    def drop(self, key: Key) -> None:
        """Forget an entry, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._bytes -= entry.size + _OVERHEAD_BYTES
        viewer, family, name = key
        names = self._viewers[family]
        names[name].discard(viewer)
        if not names[name]:
            del names[name]
            if not names:
                del self._viewers[family]

    def drop_object(self, family: Hashable, key: Hashable) -> None:
        """Forget what every viewer has under that key of the family."""
        for viewer in tuple(self._viewers.get(family, {}).get(key, ())):
            self.drop((viewer, family, key))

    def drop_families_but(self, family: Hashable) -> None:
        """Forget everything of all other families."""
        for other in [each for each in self._viewers if each != family]:
            for key in tuple(self._viewers[other]):
                self.drop_object(other, key)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._viewers.clear()
        self._bytes = 0
