"""Counts of what was used: token buckets, which refill at a constant rate, sliding windows, and quotas for a day or month.

`Counts` is the protocol of a store. `InMemory` is the store of one process; `shared.SharedCounts` is one that several
gateways share in Redis. A store grants all charges of a request or none of them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import islice
from math import inf
from typing import Protocol

import msgspec

from bff.gate.shared_state import SharedStateBudget
from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache

_MOST_COUNTS = 100_000
_MOST_BYTES = 64 * 1024 * 1024
_COUNT_BYTES = 300
"""Bytes of a count's key and level, besides the names in the key. An estimate."""
_SLOT_BYTES = 100
"""Bytes of a part of a sliding window. An estimate."""
_CANDIDATES = 8
"""The number of least recently used counts that are compared when one has to be evicted."""
_DAY_S = 86_400
_TOLERANCE = 1e-9
"""Float tolerance: a token that was just refilled must not be refused because of rounding."""


class Period(Enum):
    """The calendar period of a quota, by UTC."""

    DAY = "day"
    MONTH = "month"


class Limit(Protocol):
    """A limit: at most `quota` units in `window_s` seconds. `name` is shown in headers and errors."""

    name: str
    quota: int

    @property
    def window_s(self) -> float:
        """The seconds after which all of the quota is available again."""
        ...


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: it holds `quota` tokens and is refilled with `per_s` tokens a second."""

    name: str
    quota: int
    per_s: float

    @property
    def window_s(self) -> float:
        """The seconds in which an empty bucket becomes full."""
        return self.quota / self.per_s


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `quota` units in a calendar day or month."""

    name: str
    quota: int
    period: Period

    @property
    def window_s(self) -> float:
        """The length of the period in seconds; a month counts as 30 days."""
        return _DAY_S if self.period is Period.DAY else 30 * _DAY_S


SLOTS = 60
"""Parts of a sliding window. What was used in a part counts until the whole part is out of the window."""


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """At most `quota` units in any span of `window_s` seconds, wherever it begins.

    It is counted in parts of the window, and never lets more through: a unit counts for at most a sixtieth of the window
    longer than that.
    """

    name: str
    quota: int
    window_s: float

    def slot(self, now: float) -> int:
        """The part of time that contains `now`."""
        return int(now * SLOTS // self.window_s)

    def end_of(self, slot: int) -> float:
        """When what was used in that part counts no longer."""
        return (slot + SLOTS + 1) * self.window_s / SLOTS


AnyLimit = Bucket | Quota | SlidingWindow


class Charge(msgspec.Struct, frozen=True, gc=False):
    """An amount to take from one count. `key` identifies the count: variant, kind and name of the subject, and limit."""

    key: tuple[str, ...]
    limit: AnyLimit
    amount: float


class Count(msgspec.Struct, frozen=True, gc=False):
    """A count after a charge.

    Attributes:
        remaining: units that are left.
        reset_s: seconds until the whole quota is available again.
        retry_after_s: seconds after which the charge could be granted; 0 if it was granted.
    """

    remaining: float
    reset_s: float
    retry_after_s: float = 0.0


class Counts(Protocol):
    """A store of counts."""

    async def take(self, charges: Sequence[Charge], wait_budget: SharedStateBudget | None = None) -> Sequence[Count]:
        """Take all charges, or none if a count is too low for one. `wait_budget` limits the wait for Redis."""
        ...

    async def settle(self, charges: Sequence[Charge]) -> None:
        """Take the charges even if a count falls below zero. A negative amount is given back. Does not wait for Redis."""
        ...


class _Level(msgspec.Struct, gc=False):
    """The stored state of a count.

    Attributes:
        left: units that were left at the time of the last change; negative after a correction.
        at: for a bucket the time of that change (monotonic clock); for a quota the end of its period (wall clock).
        limit: the limit at that time.
        slots: of a sliding window, the units that were used in each part of it; None for other limits.
    """

    left: float
    at: float
    limit: AnyLimit
    slots: dict[int, float] | None = None


class InMemory:
    """Counts of this process alone.

    Buckets use the monotonic clock. Quotas follow the calendar, so they use the wall clock. The number of counts is limited,
    and evicting one resets its quota. A client could reset its own used-up count by creating many new ones; so of several
    least recently used counts the fullest is evicted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._levels: BoundedCache[tuple[str, ...], _Level] = BoundedCache(max_weight=_MOST_BYTES, max_entries=_MOST_COUNTS)

    def __repr__(self) -> str:
        return f"<InMemory: {len(self._levels)} counts>"

    async def take(self, charges: Sequence[Charge], _: SharedStateBudget | None = None) -> Sequence[Count]:
        """See `Counts`."""
        if len(charges) == 1:
            return (self._take_one(charges[0]),)
        times = [self._now(charge.limit) for charge in charges]
        found = [self._level(charge, now) for charge, now in zip(charges, times, strict=True)]
        waits = [self._wait(charge, left, now) for charge, left, now in zip(charges, found, times, strict=True)]
        granted = not any(waits)
        counts = []
        for charge, left, wait, now in zip(charges, found, waits, times, strict=True):
            rest = left - charge.amount if granted else left
            level = self._put(charge, rest, now, left)
            counts.append(Count(max(rest, 0.0), _reset(charge.limit, rest, now, level.slots), wait))
        return counts

    def _take_one(self, charge: Charge) -> Count:
        """`take` of a single charge, which is the usual case."""
        now = self._now(charge.limit)
        left = self._level(charge, now)
        wait = 0.0 if left + _TOLERANCE >= charge.amount else self._wait(charge, left, now)
        rest = left if wait else left - charge.amount
        level = self._put(charge, rest, now, left)
        return Count(max(rest, 0.0), _reset(charge.limit, rest, now, level.slots), wait)

    async def settle(self, charges: Sequence[Charge]) -> None:
        """See `Counts`."""
        for charge in charges:
            now = self._now(charge.limit)
            left = self._level(charge, now)
            self._put(charge, min(left - charge.amount, charge.limit.quota), now, left)

    def _now(self, limit: AnyLimit) -> float:
        return self._wall() if type(limit) is Quota else self._clock()

    def _level(self, charge: Charge, now: float) -> float:
        """The units that are left of a count. A new count is full."""
        level = self._levels.get(charge.key)
        return charge.limit.quota if level is None else _left(level, charge.limit, now)

    def _wait(self, charge: Charge, left: float, now: float) -> float:
        """Seconds until the charge can be granted; 0 if it can be now. Above the quota, until the count is full."""
        level = self._levels.peek(charge.key)
        return _wait(charge, left, now, None if level is None else level.slots)

    def _put(self, charge: Charge, left: float, now: float, before: float) -> _Level:
        """Store that `left` units are left, of the `before` that were."""
        limit = charge.limit
        at = period_end(limit.period, now) if isinstance(limit, Quota) else now
        level = self._levels.peek(charge.key)
        if level is not None:
            level.left, level.at, level.limit = left, at, limit
            if isinstance(limit, SlidingWindow):
                level.slots = _used_more(level.slots, limit.slot(now), before - left)
            return level
        slots = _used_more(None, limit.slot(now), before - left) if isinstance(limit, SlidingWindow) else None
        weight = ENTRY_BYTES + _COUNT_BYTES + sum(map(len, charge.key)) + (0 if slots is None else SLOTS * _SLOT_BYTES)
        while self._levels and (len(self._levels) >= _MOST_COUNTS or self._levels.weight + weight > _MOST_BYTES):
            self._evict()
        level = _Level(left, at, limit, slots)
        self._levels.put(charge.key, level, weight)
        return level

    def _evict(self) -> None:
        """Evict the fullest of the least recently used counts. The others that were compared count as used."""
        fullest, most = None, -inf
        for key in list(islice(self._levels, _CANDIDATES)):
            level = self._levels.get(key)
            if level is None:
                continue
            left = _left(level, level.limit, self._now(level.limit)) / level.limit.quota
            if left > most:
                fullest, most = key, left
            if left >= 1.0:
                break  # a full count is equal to a new one
        if fullest is not None:
            self._levels.drop(fullest)


def _used_more(slots: dict[int, float] | None, slot: int, amount: float) -> dict[int, float]:
    """What was used in each part of a window, after `amount` more in this part."""
    found = {} if slots is None else slots
    if amount:
        found[slot] = found.get(slot, 0.0) + amount
    return found


def _left(level: _Level, limit: AnyLimit, now: float) -> float:
    """The units that are left now. The limit may have changed since. A quota's level is valid only in its own period."""
    if isinstance(limit, SlidingWindow):
        slots = level.slots or {}
        first = limit.slot(now) - SLOTS
        for slot in [each for each in slots if each < first]:
            del slots[slot]
        return min(limit.quota - sum(slots.values()), limit.quota)
    if isinstance(limit, Bucket):
        return min(limit.quota, level.left + max(now - level.at, 0.0) * limit.per_s)
    return level.left if level.at == period_end(limit.period, now) else limit.quota


def _wait(charge: Charge, left: float, now: float, slots: dict[int, float] | None) -> float:
    """See `InMemory._wait`. `slots` is that of a sliding window."""
    if left + _TOLERANCE >= charge.amount:
        return 0.0
    if isinstance(charge.limit, SlidingWindow):
        return _wait_for(min(charge.amount, charge.limit.quota) - left, charge.limit, now, slots or {})
    if isinstance(charge.limit, Quota):
        return period_end(charge.limit.period, now) - now
    return (min(charge.amount, charge.limit.quota) - left) / charge.limit.per_s or 1.0


def _wait_for(missing: float, limit: SlidingWindow, now: float, slots: dict[int, float]) -> float:
    """Seconds until so many units are out of the window."""
    for slot in sorted(slots):
        missing -= slots[slot]
        if missing <= _TOLERANCE:
            return max(limit.end_of(slot) - now, _TOLERANCE)
    return limit.window_s


def _reset(limit: AnyLimit, left: float, now: float, slots: dict[int, float] | None) -> float:
    """Seconds until the count is full again."""
    if isinstance(limit, SlidingWindow):
        return limit.end_of(max(slots)) - now if slots else 0.0
    if isinstance(limit, Quota):
        return period_end(limit.period, now) - now
    return (limit.quota - left) / limit.per_s


def period_end(period: Period, now: float) -> float:
    """The end of the UTC day or month that contains `now`. Both are in seconds since 1970."""
    if period is Period.DAY:
        return (now // _DAY_S + 1) * _DAY_S
    day = datetime.fromtimestamp(now, UTC)
    year, month = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
    return datetime(year, month, 1, tzinfo=UTC).timestamp()
