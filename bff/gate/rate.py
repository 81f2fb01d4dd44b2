"""Rate limits: how many requests, and how much cost of operations, a client may use of a variant.

Whose counts a request is charged to: the consumer's, if it has a rate of its own, and also the user's if there is a user;
without a user the consumer's alone; without either the address's. Besides, it may be charged to its address whoever signed
in, and to the variant as a whole. Each variant has its own counts. A request is charged to all of its counts or to none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import ceil
from typing import Annotated

import msgspec
from annotated_types import Ge, Le

from bff.errors import Headers, RateLimited
from bff.gate.counts import AnyLimit, Bucket, Charge, Count, Counts, Period, Quota, SlidingWindow
from bff.gate.shared_state import SharedStateBudget
from bff.runtime.options import options

_MOST = 1_000_000_000
_LONGEST_NAME = 128


@options
class OverallRateOptions:
    """Limits on how much all clients together, or all users at one address, may use a variant. None means no limit.

    Attributes:
        per_minute: requests a minute, in the long run.
        burst: requests at once, after a pause; None: as many as `per_minute`.
        any_second, any_minute, any_hour: requests in any span of that length, wherever it begins: never more.
        per_day: requests in a calendar day, by UTC.
        per_month: requests in a calendar month, by UTC.
        cost_per_minute: cost of operations a minute, in the long run.
        cost_burst: cost at once, after a pause; None: as much as `cost_per_minute`.
        cost_per_day: cost in a calendar day, by UTC.
        cost_per_month: cost in a calendar month, by UTC.
    """

    per_minute: Annotated[int, Ge(1), Le(10_000_000)] | None = None
    burst: Annotated[int, Ge(1), Le(10_000_000)] | None = None
    any_second: Annotated[int, Ge(1), Le(_MOST)] | None = None
    any_minute: Annotated[int, Ge(1), Le(_MOST)] | None = None
    any_hour: Annotated[int, Ge(1), Le(_MOST)] | None = None
    per_day: Annotated[int, Ge(1), Le(_MOST)] | None = None
    per_month: Annotated[int, Ge(1), Le(_MOST)] | None = None
    cost_per_minute: Annotated[int, Ge(1), Le(_MOST)] | None = None
    cost_burst: Annotated[int, Ge(1), Le(_MOST)] | None = None
    cost_per_day: Annotated[int, Ge(1), Le(_MOST)] | None = None
    cost_per_month: Annotated[int, Ge(1), Le(_MOST)] | None = None

    @property
    def counts_cost(self) -> bool:
        """Whether the cost of operations is limited."""
        return any((self.cost_per_minute, self.cost_per_day, self.cost_per_month))


@options
class RateOptions(OverallRateOptions):
    """Limits on how much each user, consumer or address may use a variant. See `OverallRateOptions`."""

    per_minute: Annotated[int, Ge(1), Le(10_000_000)] = 600
    burst: Annotated[int, Ge(1), Le(10_000_000)] = 100


class Subject(msgspec.Struct, frozen=True, gc=False):
    """The owner of the counts that a request is charged to.

    `kind` is `consumer`, `user` or `address`; `address_of_all` for all users of an address, `all` for all clients.
    """

    kind: str
    name: str
    options: OverallRateOptions


ALL = "all"
ADDRESS_OF_ALL = "address_of_all"
_PREFIXES = {"consumer": "consumer-", ADDRESS_OF_ALL: "address-", ALL: "all-"}
"""How the names of the limits of a kind of subject begin, in headers and errors."""


def counted_name(name: str) -> str:
    """A subject's name for the key of a count: a long name is replaced by its digest, which bounds the key's size."""
    if len(name) <= _LONGEST_NAME:
        return name
    return "blake2b:" + blake2b(name.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limits that the options define. `policy` is their part of the `RateLimit-Policy` header."""

    requests: tuple[AnyLimit, ...]
    cost: tuple[AnyLimit, ...]
    policy: bytes


@lru_cache(maxsize=1024)
def _limits(options: OverallRateOptions, prefix: str) -> _Limits:
    def quotas(name: str, day: int | None, month: int | None) -> list[Quota]:
        pairs = ((Period.DAY, day), (Period.MONTH, month))
        return [Quota(f"{name}-{period.value}", quota, period) for period, quota in pairs if quota is not None]

    spans = (("second", 1.0, options.any_second), ("minute", 60.0, options.any_minute), ("hour", 3600.0, options.any_hour))
    requests: list[AnyLimit] = [
        *_bucket(f"{prefix}requests", options.per_minute, options.burst),
        *(SlidingWindow(f"{prefix}requests-{name}", most, span_s) for name, span_s, most in spans if most is not None),
        *quotas(f"{prefix}requests", options.per_day, options.per_month),
    ]
    cost: list[AnyLimit] = [
        *_bucket(f"{prefix}cost", options.cost_per_minute, options.cost_burst),
        *quotas(f"{prefix}cost", options.cost_per_day, options.cost_per_month),
    ]
    policy = ", ".join(f'"{each.name}";q={each.quota};w={ceil(each.window_s)}' for each in (*requests, *cost))
    return _Limits(tuple(requests), tuple(cost), policy.encode())


def _bucket(name: str, per_minute: int | None, burst: int | None) -> list[Bucket]:
    return [] if per_minute is None else [Bucket(name, burst or per_minute, per_minute / 60)]


def _not_counted(variant: str, kind: str, limit: str) -> None:
    """Nothing."""


class Ledger:
    """Charges one request to its subjects' counts, and reports the counts in headers."""

    __slots__ = ("_counts", "_on_refusal", "_shown", "_subjects", "_variant", "_wait_budget")

    def __init__(
        self,
        counts: Counts,
        variant: str,
        subjects: Sequence[Subject],
        wait_budget: SharedStateBudget | None = None,
        on_refusal: Callable[[str, str, str], None] = _not_counted,
    ) -> None:
        """`on_refusal` gets the variant, the kind of subject and the name of the limit that was exceeded."""
        self._counts = counts
        self._wait_budget = wait_budget
        self._variant = variant
        self._on_refusal = on_refusal
        self._subjects = [(each, _limits(each.options, _PREFIXES.get(each.kind, ""))) for each in subjects]
        self._shown: dict[str, Count] = {}

    async def charge_requests(self, number: int = 1) -> None:
        """Charge `number` requests. Raises `RateLimited` and charges nothing if a limit is exceeded."""
        await self._take(
            [
                Charge((self._variant, subject.kind, subject.name, limit.name), limit, number)
                for subject, limits in self._subjects
                for limit in limits.requests
            ]
        )

    @property
    def counts_cost(self) -> bool:
        """Whether cost is limited for one of the subjects."""
        return any(limits.cost for _, limits in self._subjects)

    async def charge_cost(self, cost: int) -> None:
        """Charge an operation's cost. Raises `RateLimited` and charges nothing if a limit is exceeded."""
        await self._take(self._cost_charges(cost))

    async def correct_cost(self, difference: int) -> None:
        """Charge `difference` more, after the actual cost is known. A negative difference is given back."""
        await self._counts.settle(self._cost_charges(difference))

    def _cost_charges(self, amount: int) -> list[Charge]:
        return [
            Charge((self._variant, subject.kind, subject.name, limit.name), limit, amount)
            for subject, limits in self._subjects
            for limit in limits.cost
        ]

    async def _take(self, charges: Sequence[Charge]) -> None:
        counts = await self._counts.take(charges, self._wait_budget)
        refused: Charge | None = None
        longest_s = 0.0
        for charge, count in zip(charges, counts, strict=True):
            if charge.key[1] != ALL:  # how much others use is not told
                self._shown[charge.limit.name] = count
            if count.retry_after_s > longest_s:
                refused, longest_s = charge, count.retry_after_s
        if refused is not None:
            limit = refused.limit
            self._on_refusal(self._variant, refused.key[1], limit.name)
            raise RateLimited(limit.name, limit.quota, limit.window_s, refused.amount, longest_s)

    def headers(self) -> Headers:
        """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10); none if nothing was charged."""
        if not self._shown:
            return ()
        now = [f'"{name}";r={int(count.remaining)};t={ceil(count.reset_s)}' for name, count in self._shown.items()]
        policies = [limits.policy for subject, limits in self._subjects if subject.kind != ALL and limits.policy]
        return ((b"ratelimit-policy", b", ".join(policies)), (b"ratelimit", ", ".join(now).encode()))
