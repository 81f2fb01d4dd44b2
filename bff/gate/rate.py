"""How much one may ask: token buckets for bursts, quotas for a day or a month; by requests and by operations' cost.

Whose count it is: a consumer's with a rate of its own, and besides a user's; without a user a consumer's; else an
address's. Counts are kept for each variant apart. All that a request is charged is taken at once or not at all.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from math import ceil, inf
from typing import Annotated, Protocol

import msgspec
from annotated_types import Ge, Le

from bff.errors import Headers, RateLimited
from bff.gate.shared_state import SharedStateBudget
from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache
from bff.runtime.options import options

_MOST = 1_000_000_000
_MOST_COUNTS = 100_000
_MOST_BYTES = 64 * 1024 * 1024
_COUNT_BYTES = 300
"""Bytes of a count's key and level, besides the names in the key. An estimate."""
_CANDIDATES = 8
"""The number of least recently used counts that are compared when one has to be evicted."""
_LONGEST_NAME = 128
_DAY_S = 86_400
_HAIR = 1e-9
"""So little of rounding shall not refuse what has just come back."""


@options
class RateOptions:
    """How much one may ask of a variant. What is None is not limited.

    Attributes:
        per_minute: requests that come back in a minute.
        burst: requests that may come at once.
        per_day, per_month: requests in a day and in a month of the calendar, by UTC.
        cost_per_minute, cost_burst, cost_per_day, cost_per_month: the same of operations' cost. Without a burst, a minute's.
    """

    per_minute: Annotated[int, Ge(1), Le(10_000_000)] = 600
    burst: Annotated[int, Ge(1), Le(1_000_000)] = 100
    per_day: Annotated[int, Ge(1), Le(_MOST)] | None = None
    per_month: Annotated[int, Ge(1), Le(_MOST)] | None = None
    cost_per_minute: Annotated[int, Ge(1), Le(_MOST)] | None = None
    cost_burst: Annotated[int, Ge(1), Le(_MOST)] | None = None
    cost_per_day: Annotated[int, Ge(1), Le(_MOST)] | None = None
    cost_per_month: Annotated[int, Ge(1), Le(_MOST)] | None = None

    @property
    def counts_cost(self) -> bool:
        """Whether an operation's cost is charged at all."""
        return any((self.cost_per_minute, self.cost_per_day, self.cost_per_month))


class Period(Enum):
    """What a quota is for."""

    DAY = "day"
    MONTH = "month"


class Limit(Protocol):
    """One limit. `name` stands in headers; `quota` units at most at once, over `window_s` seconds."""

    name: str
    quota: int

    @property
    def window_s(self) -> float:
        """In how many seconds the whole quota comes back."""
        ...


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `quota` fit in, `per_s` come back each second."""

    name: str
    quota: int
    per_s: float

    @property
    def window_s(self) -> float:
        """Until an empty one is full."""
        return self.quota / self.per_s


@dataclass(frozen=True, slots=True)
class Quota:
    """So many in a day or a month of the calendar."""

    name: str
    quota: int
    period: Period

    @property
    def window_s(self) -> float:
        """As long as the period is, about."""
        return _DAY_S if self.period is Period.DAY else 30 * _DAY_S


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What is taken from one count. `key` names whose it is, variant and kind included."""

    key: tuple[str, ...]
    limit: Bucket | Quota
    amount: float


class Count(msgspec.Struct, frozen=True, gc=False):
    """A count after a charge. `retry_after_s` is 0 where it was granted."""

    remaining: float
    reset_s: float
    retry_after_s: float = 0.0


class Counts(Protocol):
    """Where counts are kept."""

    async def take(self, charges: Sequence[Charge], wait_budget: SharedStateBudget | None = None) -> Sequence[Count]:
        """Take all, or where one doesn't suffice none. `patience` limits the wait for Redis."""
        ...

    async def settle(self, charges: Sequence[Charge]) -> None:
        """Take, or give back where amounts are below zero, whatever is left. Does not wait for Redis."""
        ...


class _Level(msgspec.Struct, gc=False):
    """A count. `at`: for a bucket the time of `left`, by the monotonic clock; for a quota the end of its period."""

    left: float
    at: float
    limit: Bucket | Quota


class InMemory:
    """Counts of this process alone.

    Buckets use the monotonic clock; quotas, which follow the calendar, the wall clock. Evicting a count resets it. So that a
    client can't reset its used-up count by creating many new ones, the fullest of the least recently used is evicted.
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
        moments = [self._now(charge.limit) for charge in charges]
        found = [self._level(charge, now) for charge, now in zip(charges, moments, strict=True)]
        waits = [_wait(charge, left, now) for charge, left, now in zip(charges, found, moments, strict=True)]
        granted = not any(waits)
        counts = []
        for charge, left, wait, now in zip(charges, found, waits, moments, strict=True):
            rest = left - charge.amount if granted else left
            self._put(charge, rest, now)
            counts.append(Count(max(rest, 0.0), _reset(charge.limit, rest, now), wait))
        return counts

    def _take_one(self, charge: Charge) -> Count:
        """A single charge, the usual case."""
        now = self._now(charge.limit)
        left = self._level(charge, now)
        wait = 0.0 if left + _HAIR >= charge.amount else _wait(charge, left, now)
        rest = left if wait else left - charge.amount
        self._put(charge, rest, now)
        return Count(max(rest, 0.0), _reset(charge.limit, rest, now), wait)

    async def settle(self, charges: Sequence[Charge]) -> None:
        """See `Counts`."""
        for charge in charges:
            now = self._now(charge.limit)
            self._put(charge, min(self._level(charge, now) - charge.amount, charge.limit.quota), now)

    def _now(self, limit: Bucket | Quota) -> float:
        return self._clock() if type(limit) is Bucket else self._wall()

    def _level(self, charge: Charge, now: float) -> float:
        """What is left of a count."""
        level = self._levels.get(charge.key)
        return charge.limit.quota if level is None else _left(level, charge.limit, now)

    def _put(self, charge: Charge, left: float, now: float) -> None:
        limit = charge.limit
        at = now if isinstance(limit, Bucket) else period_end(limit.period, now)
        level = self._levels.peek(charge.key)
        if level is not None:
            level.left, level.at, level.limit = left, at, limit
            return
        weight = ENTRY_BYTES + _COUNT_BYTES + sum(map(len, charge.key))
        while self._levels and (len(self._levels) >= _MOST_COUNTS or self._levels.weight + weight > _MOST_BYTES):
            self._evict()
        self._levels.put(charge.key, _Level(left, at, limit), weight)

    def _evict(self) -> None:
        """Evict the fullest of the least recently used counts. The others that were compared count as used now."""
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


def _left(level: _Level, limit: Bucket | Quota, now: float) -> float:
    """What is left now, by a limit that may have changed since. A quota's level is valid in its own period only."""
    if isinstance(limit, Bucket):
        return min(limit.quota, level.left + max(now - level.at, 0.0) * limit.per_s)
    return level.left if level.at == period_end(limit.period, now) else limit.quota


def _wait(charge: Charge, left: float, now: float) -> float:
    """Until the charge could be granted; 0 where it can be. What never fits waits as long as for a full count."""
    if left + _HAIR >= charge.amount:
        return 0.0
    if isinstance(charge.limit, Quota):
        return period_end(charge.limit.period, now) - now
    return (min(charge.amount, charge.limit.quota) - left) / charge.limit.per_s or 1.0


def _reset(limit: Bucket | Quota, left: float, now: float) -> float:
    """Until the count is full again."""
    if isinstance(limit, Quota):
        return period_end(limit.period, now) - now
    return (limit.quota - left) / limit.per_s


def period_end(period: Period, now: float) -> float:
    """When the day or month of `now`, in seconds since 1970, ends by UTC."""
    if period is Period.DAY:
        return (now // _DAY_S + 1) * _DAY_S
    moment = datetime.fromtimestamp(now, UTC)
    year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
    return datetime(year, month, 1, tzinfo=UTC).timestamp()


class Subject(msgspec.Struct, frozen=True, gc=False):
    """Whose count a request is on: `kind` is `consumer`, `user` or `address`."""

    kind: str
    name: str
    options: RateOptions


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the options come to, worked out once."""

    requests: tuple[Bucket | Quota, ...]
    cost: tuple[Bucket | Quota, ...]
    policy: bytes


@lru_cache(maxsize=1024)
def _limits(options: RateOptions, prefix: str) -> _Limits:
    def quotas(name: str, day: int | None, month: int | None) -> list[Quota]:
        pairs = ((Period.DAY, day), (Period.MONTH, month))
        return [Quota(f"{name}-{period.value}", quota, period) for period, quota in pairs if quota is not None]

    requests: list[Bucket | Quota] = [
        Bucket(f"{prefix}requests", options.burst, options.per_minute / 60),
        *quotas(f"{prefix}requests", options.per_day, options.per_month),
    ]
    cost: list[Bucket | Quota] = []
    if options.cost_per_minute is not None:
        burst = options.cost_burst or options.cost_per_minute
        cost.append(Bucket(f"{prefix}cost", burst, options.cost_per_minute / 60))
    cost += quotas(f"{prefix}cost", options.cost_per_day, options.cost_per_month)
    told = ", ".join(f'"{each.name}";q={each.quota};w={ceil(each.window_s)}' for each in (*requests, *cost))
    return _Limits(tuple(requests), tuple(cost), told.encode())


def counted_name(name: str) -> str:
    """A name as part of a count's key: itself, or its digest if it is long."""
    if len(name) <= _LONGEST_NAME:
        return name
    return "blake2b:" + blake2b(name.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


class Ledger:
    """One request's account: what it was charged, and what its headers say."""

    __slots__ = ("_counts", "_patience", "_shown", "_subjects", "_variant")

    def __init__(
        self, counts: Counts, variant: str, subjects: Sequence[Subject], wait_budget: SharedStateBudget | None = None
    ) -> None:
        self._counts = counts
        self._patience = wait_budget
        self._variant = variant
        self._subjects = [(each, _limits(each.options, "consumer-" if each.kind == "consumer" else "")) for each in subjects]
        self._shown: dict[str, Count] = {}

    async def charge_requests(self, number: int = 1) -> None:
        """Raises `RateLimited`."""
        await self._take(
            [
                Charge((self._variant, subject.kind, subject.name, limit.name), limit, number)
                for subject, limits in self._subjects
                for limit in limits.requests
            ]
        )

    @property
    def counts_cost(self) -> bool:
        """Whether cost is charged at all."""
        return any(limits.cost for _, limits in self._subjects)

    async def charge_cost(self, cost: int) -> None:
        """Raises `RateLimited`."""
        await self._take(self._of_cost(cost))

    async def correct_cost(self, difference: int) -> None:
        """What it took in the end was so much more than was charged; less, below zero."""
        await self._counts.settle(self._of_cost(difference))

    def _of_cost(self, amount: int) -> list[Charge]:
        return [
            Charge((self._variant, subject.kind, subject.name, limit.name), limit, amount)
            for subject, limits in self._subjects
            for limit in limits.cost
        ]

    async def _take(self, charges: Sequence[Charge]) -> None:
        counts = await self._counts.take(charges, self._patience)
        refused: tuple[float, str] | None = None
        for charge, count in zip(charges, counts, strict=True):
            self._shown[charge.limit.name] = count
            if count.retry_after_s > 0 and (refused is None or count.retry_after_s > refused[0]):
                refused = (count.retry_after_s, charge.limit.name)
        if refused is not None:
            raise RateLimited(refused[1], refused[0])

    def headers(self) -> Headers:
        """`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10)."""
        if not self._shown:
            return ()
        now = [f'"{name}";r={int(count.remaining)};t={ceil(count.reset_s)}' for name, count in self._shown.items()]
        policies = [limits.policy for _, limits in self._subjects]
        return ((b"ratelimit-policy", b", ".join(policies)), (b"ratelimit", ", ".join(now).encode()))
