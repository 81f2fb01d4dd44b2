"""Isolation: which keys must not share a call with other requests' keys, and how often a failed shared call is split.

Keys of different requests share a call. If it fails, the reason may be one key, and the others must not fail with it. So
each request repeats the call for its own keys alone, and keys that fail alone don't share a call for a while.

Splitting is limited: a service that fails for every key would get one more call for each request. The limit applies to
failed repeated calls minus successful ones. Beyond it no keys share a call for a while: each request then makes one call,
and doesn't repeat it.
"""

from collections.abc import Hashable, Sequence
from sys import getsizeof
from typing import Any

from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache
from bff.runtime.clock import Clock
from bff.upstream.errors import BreakerOpen, Busy, Mismatched, Misshapen, NotReached, QueueFull, SourceError, Unauthenticated
from bff.upstream.traffic.window import Window

ISOLATED_S = 30.0
"""Seconds for which a key that failed alone is isolated."""
_WINDOW_S = 10.0
_MAX_FAILED = 100
"""Repeated calls that may fail in a window, in excess of those that succeed."""
_MAX_BYTES = 1024 * 1024
_NOT_OF_A_KEY = (BreakerOpen, QueueFull, Busy, Unauthenticated)
_OF_SINGLE_ROWS = (Misshapen, Mismatched)
"""Errors that in a shared call concern single rows only, so their keys need not be isolated."""


def may_be_of_a_key(error: SourceError) -> bool:
    """Whether the reason of a failure may be one of the call's keys. Not if the call never reached the service."""
    if isinstance(error, NotReached):
        return error.sent
    return error.asked and not error.is_of_every_key and not isinstance(error, _NOT_OF_A_KEY)


class Isolation:
    """The isolated keys of one source. Not thread-safe.

    Attributes:
        is_on: whether any key may be isolated: a cheap check for each read.
    """

    __slots__ = ("_clock", "_failed", "_running", "_shared_again_at", "_suspects", "is_on")

    def __init__(self, clock: Clock) -> None:
        self.is_on = False
        self._clock = clock
        self._suspects: BoundedCache[tuple[Hashable, Any], float] = BoundedCache(max_weight=_MAX_BYTES)
        self._failed = Window(_WINDOW_S)
        self._running = 0
        self._shared_again_at = 0.0

    def __repr__(self) -> str:
        return f"<Isolation of {len(self._suspects)} keys, {self._running} repeated calls running>"

    def isolated(self, family: Hashable, keys: Sequence[Any]) -> list[Any]:
        """The keys among these that must not share a call with other requests' keys."""
        now = self._clock()
        if now < self._shared_again_at:
            return list(keys)
        while (oldest := next(iter(self._suspects), None)) is not None:
            if now < (self._suspects.peek(oldest) or 0.0):
                break
            self._suspects.drop(oldest)
        self.is_on = len(self._suspects) > 0
        return [key for key in keys if (family, key) in self._suspects] if self.is_on else []

    def suspect(self, family: Hashable, keys: Sequence[Any], error: SourceError) -> None:
        """These keys failed alone: isolate them, if the reason may be one of them."""
        if isinstance(error, _OF_SINGLE_ROWS) or not may_be_of_a_key(error):
            return
        until = self._clock() + ISOLATED_S
        for key in keys:
            self._suspects.put((family, key), until, ENTRY_BYTES + getsizeof(key))
        self.is_on = True

    def clear(self, family: Hashable, keys: Sequence[Any]) -> None:
        """These keys succeeded alone: isolate them no longer."""
        for key in keys:
            self._suspects.drop((family, key))

    def take(self) -> bool:
        """Permit to repeat a failed shared call for one request's keys; call `settle` after it. False beyond the limit."""
        now = self._clock()
        succeeded, failed, _ = self._failed.totals(now)
        if self._running + failed >= _MAX_FAILED + succeeded:
            self._shared_again_at = now + _WINDOW_S
            self.is_on = True
            return False
        self._running += 1
        return True

    def settle(self, *, ok: bool) -> None:
        """Count how a repeated call ended."""
        self._running -= 1
        self._failed.add(self._clock(), calls=1 if ok else 0, first=0 if ok else 1)
