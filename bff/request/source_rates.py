"""Rates for each source: how often a client may use the services behind it, whatever variant the client comes through.

An operation is charged once for each limited source, when it first asks for something of it. Beyond the limit that part of
the answer is refused, and the rest is there.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from bff.errors import RateLimited
from bff.gate.counts import Counts
from bff.gate.rate import Ledger, RateOptions, Subject
from bff.gate.shared_state import SharedStateBudget
from bff.runtime.error_copies import again
from bff.upstream.errors import SourceError, SourceRateLimited


class SourceRates:
    """The charges of one operation, and what came of them."""

    __slots__ = ("_budget", "_charged", "_counts", "_on_refusal", "_rates", "_subjects")

    def __init__(
        self,
        counts: Counts,
        rates: Mapping[str, RateOptions],
        subjects: Sequence[Subject],
        budget: SharedStateBudget,
        on_refusal: Callable[[str, str, str], None],
    ) -> None:
        """`rates` are by source; `subjects` are those of the request, whose own options don't count here.

        `on_refusal`: see `Ledger`.
        """
        self._on_refusal = on_refusal
        self._counts = counts
        self._rates = rates
        self._subjects = subjects
        self._budget = budget
        self._charged: dict[str, asyncio.Future[SourceError | None]] = {}

    async def __call__(self, source: str) -> None:
        """Charge the operation for a source, if it was not charged yet. Raises `SourceRateLimited`."""
        rate = self._rates.get(source)
        if rate is None:
            return
        outcome = self._charged.get(source)
        if outcome is None:
            outcome = self._charged[source] = asyncio.get_running_loop().create_future()
            refusal: SourceError | None = None
            try:
                refusal = await self._charge(source, rate)
            finally:
                outcome.set_result(refusal)
        error = await outcome
        if error is not None:
            raise again(error)

    async def _charge(self, source: str, rate: RateOptions) -> SourceError | None:
        subjects = [Subject(each.kind, each.name, rate) for each in self._subjects]
        try:
            await Ledger(self._counts, f"source {source}", subjects, self._budget, self._on_refusal).charge_requests()
        except RateLimited as limited:
            return SourceRateLimited(source, float(limited.retry_after))
        return None
