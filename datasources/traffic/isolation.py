"""Isolation: which keys are asked for apart from other requests' keys, and how often a failed batch may be taken apart.

Keys of different requests share a call. Where such a call fails, one of its keys may be the reason, and then it must not
cost the others. So each request asks once more for its own keys alone, and keys that failed alone don't join a shared call
for a while.

Taking apart is bounded, since a service that fails for every key would be asked once more for each request. Each ask that
failed counts against the bound, less those that went well. Beyond the bound no keys are put together for a while: each
request then makes one call, and none is made again.
"""

from collections.abc import Hashable, Sequence
from sys import getsizeof
from typing import Any

from datasources.bounded import ENTRY_BYTES, BoundedCache
from datasources.caller import Clock
from datasources.errors import BreakerOpen, Busy, Mismatched, Misshapen, NotReached, QueueFull, SourceError, Unauthenticated
from datasources.traffic.window import Window

APART_S = 30.0
"""Seconds for which a key that failed alone stays apart."""
_WINDOW_S = 10.0
_MOST_FAILED = 100
"""Asks alone that may fail in a window, on top of as many as go well."""
_MOST_BYTES = 1024 * 1024
_ABOUT_NO_KEY = (BreakerOpen, QueueFull, Busy, Unauthenticated)
_SPOILS_NO_OTHERS = (Misshapen, Mismatched)
"""What a single object is lost for. Of a shared call it would have been one row that is lost."""


def may_be_of_a_key(error: SourceError) -> bool:
    """Whether one of a call's keys may be why it failed. A call that never reached the service says nothing of its keys."""
    if isinstance(error, NotReached):
        return error.sent
    return error.asked and not isinstance(error, _ABOUT_NO_KEY)


class Isolation:
    """One a source. Not thread-safe: it lives on one event loop.

    Attributes:
        is_on: whether any key has to stay apart. Looked at for each read, so that all else is only done where it is.
    """

    __slots__ = ("_clock", "_failed", "_running", "_suspects", "_together_at", "is_on")

    def __init__(self, clock: Clock) -> None:
        self.is_on = False
        self._clock = clock
        self._suspects: BoundedCache[tuple[Hashable, Any], float] = BoundedCache(max_weight=_MOST_BYTES)
        self._failed = Window(_WINDOW_S)
        self._running = 0
        self._together_at = 0.0

    def __repr__(self) -> str:
        return f"<Isolation of {len(self._suspects)} keys, {self._running} asked alone>"

    def apart(self, family: Hashable, keys: Sequence[Any]) -> list[Any]:
        """Those of the keys that may not share a call with other requests' keys."""
        now = self._clock()
        if now < self._together_at:
            return list(keys)
        while (oldest := next(iter(self._suspects), None)) is not None:
            if now < (self._suspects.peek(oldest) or 0.0):
                break
            self._suspects.drop(oldest)
        self.is_on = len(self._suspects) > 0
        return [key for key in keys if (family, key) in self._suspects] if self.is_on else []

    def suspect(self, family: Hashable, keys: Sequence[Any], error: SourceError) -> None:
        """These keys were asked for alone, and failed: they stay apart, where the error may have been theirs."""
        if isinstance(error, _SPOILS_NO_OTHERS) or not may_be_of_a_key(error):
            return
        until = self._clock() + APART_S
        for key in keys:
            self._suspects.put((family, key), until, ENTRY_BYTES + getsizeof(key))
        self.is_on = True

    def clear(self, family: Hashable, keys: Sequence[Any]) -> None:
        """These keys were asked for alone, and came."""
        for key in keys:
            self._suspects.drop((family, key))

    def take(self) -> bool:
        """Leave for one ask alone after a shared call failed; `settle` has to follow. False beyond the bound."""
        now = self._clock()
        well, failed, _ = self._failed.totals(now)
        if self._running + failed >= _MOST_FAILED + well:
            self._together_at = now + _WINDOW_S
            self.is_on = True
            return False
        self._running += 1
        return True

    def settle(self, *, ok: bool) -> None:
        """Take in how an ask alone has ended."""
        self._running -= 1
        self._failed.add(self._clock(), calls=1 if ok else 0, first=0 if ok else 1)
