"""Health checks: each instance is asked at intervals whether it is well, besides the calls that it gets.

It finds what no call has met yet, and lets an instance in again as soon as it is well. It judges by an answer's status and
never by its body, never sends anything of a caller's, and never ends because a check went wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Generic, Protocol, TypeVar

from annotated_types import Ge, Gt, Le

from bff.runtime.options import options
from bff.upstream.wire import Wire, WireRequest

_HEADERS = (("Accept", "*/*"), ("User-Agent", "bff"))
_MAX_RESPONSE_BYTES = 64 * 1024


@options
class HealthOptions:
    """Whether, where and how often instances are asked. Durations in seconds.

    Attributes:
        interval_s: from the end of one round to the next; 0: no checks.
        timeout_s: an answer that comes later than this is none.
        path: what follows an instance's URL, as it is sent.
        unhealthy_after: so many failures in a row put an instance out.
        healthy_after: so many passes in a row let it in again.
    """

    interval_s: Annotated[float, Ge(0), Le(3600)] = 0.0
    timeout_s: Annotated[float, Gt(0), Le(60)] = 1.0
    path: str = "/health"
    unhealthy_after: Annotated[int, Ge(1), Le(1000)] = 2
    healthy_after: Annotated[int, Ge(1), Le(1000)] = 1

    def __post_init__(self) -> None:
        """Raises `ValueError` for a path that would run into the host's name."""
        if not self.path.startswith("/"):
            raise ValueError(f"Expected a path that begins with a slash, got {self.path!r}.")


class Checked(Protocol):
    """What is needed of an instance. One that stays in the list is the same object from round to round."""

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        ...

    @property
    def weight(self) -> int:
        """0: it gets no calls and so no checks."""
        ...


I = TypeVar("I", bound=Checked)  # noqa: E741 - an instance


class HealthTargets(Protocol[I]):
    """What is needed of a balance: its present instances, and an ear for what the checks find."""

    @property
    def instances(self) -> tuple[I, ...]:
        """All of them, as they are now."""
        ...

    def set_health(self, instance: I, *, healthy: bool) -> None:
        """Take in a verdict; the same one again changes nothing."""
        ...


def next_row(row: int, *, passed: bool) -> int:
    """So many passes in a row, or as a negative number so many failures, after one more check."""
    return max(row, 0) + 1 if passed else min(row, 0) - 1


class HealthChecks(Generic[I]):
    """Asks the instances of one source. `run` is a task of the composition root's, which cancels it at the end."""

    def __init__(
        self,
        source: str,
        balance: HealthTargets[I],
        wire: Wire,
        options: HealthOptions,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._balance = balance
        self._wire = wire
        self._options = options
        self._sleep = sleep
        self._rows: dict[I, int] = {}

    def __repr__(self) -> str:
        return f"<HealthChecks {self._source}: rows {list(self._rows.values())}>"

    @property
    def is_on(self) -> bool:
        """Whether health checks are on."""
        return self._options.interval_s > 0

    async def run(self) -> None:
        """Round after round, the first at once, until it is cancelled. Returns at once where checks are off."""
        while self._options.interval_s:
            await self.check()
            await self._sleep(self._options.interval_s)

    async def check(self) -> None:
        """One round: ask all instances at once, then tell the balance of each row that is long enough."""
        async with asyncio.TaskGroup() as group:
            tasks = {i: group.create_task(self._passes(i)) for i in self._balance.instances if i.weight}
        # Made anew, so that what left the list is forgotten.
        self._rows = {i: next_row(self._rows.get(i, 0), passed=task.result()) for i, task in tasks.items()}
        for instance, row in self._rows.items():
            if row >= self._options.healthy_after:
                self._balance.set_health(instance, healthy=True)
            elif -row >= self._options.unhealthy_after:
                self._balance.set_health(instance, healthy=False)

    async def _passes(self, instance: I) -> bool:
        request = WireRequest("GET", instance.url + self._options.path, _HEADERS)
        try:
            async with asyncio.timeout(self._options.timeout_s):
                reply = await self._wire.send(request, max_response_bytes=_MAX_RESPONSE_BYTES)
        except Exception:  # noqa: BLE001 - whatever a check meets, it is no pass, and the rounds go on
            return False
        return 200 <= reply.status < 300
