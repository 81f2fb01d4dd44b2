"""Whole answers that are kept: those of anonymous queries that everybody may have, for as long as all that went into them.

An answer is known by its operation, which is one variant's, and by its variables. A write through this gateway forgets all:
which answers it touches, nobody knows without asking.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from datasources.caller import Clock

_OVERHEAD_BYTES = 500


@dataclass(frozen=True, slots=True)
class AnswerCacheOptions:
    """Whether whole answers are kept, and how many."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - a word to whoever reads settings into it

    enabled: bool = False
    max_entries: Annotated[int, Ge(1), Le(1_000_000)] = 1000
    max_bytes: Annotated[int, Ge(1024), Le(2**34)] = 16 * 1024 * 1024


class KeptAnswers:
    """The answers of one variant."""

    def __init__(self, options: AnswerCacheOptions, clock: Clock = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self.generation = 0
        """Goes up when all is forgotten: what was begun before must not be kept after."""

    def __repr__(self) -> str:
        return f"<KeptAnswers: {len(self._kept)}, {self._bytes} bytes>"

    def get(self, key: Hashable) -> tuple[bytes, float] | None:
        """The answer, and for how many seconds it may still be used."""
        found = self._kept.get(key)
        if found is None:
            return None
        left_s = found[0] - self._clock()
        if left_s <= 0:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found[1], left_s

    def put(self, key: Hashable, body: bytes, left_s: float, generation: int) -> None:
        """Keep an answer that was begun in that generation."""
        size = len(body) + _OVERHEAD_BYTES
        if generation != self.generation or left_s <= 0 or size > self._options.max_bytes:
            return
        self._drop(key)
        self._kept[key] = (self._clock() + left_s, body)
        self._bytes += size
        while len(self._kept) > self._options.max_entries or self._bytes > self._options.max_bytes:
            self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0
        self.generation += 1

    def _drop(self, key: Hashable) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(found[1]) + _OVERHEAD_BYTES
