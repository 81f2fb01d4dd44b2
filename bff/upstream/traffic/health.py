"""Health checks: a request to each instance at intervals, besides the calls that it gets.

They find a broken instance before a call does, and put an instance back as soon as it works. Only the reply's status counts,
never its body. A check carries nothing of any caller. A failed check never ends the checks.
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
    """Health checks of one source's instances. Durations in seconds.

    Attributes:
        interval_s: from the end of one round of checks to the next; 0 for no checks.
        timeout_s: of one check.
        path: is appended to an instance's URL. It begins with a slash.
        unhealthy_after: consecutive failures after which an instance is unhealthy.
        healthy_after: consecutive passes after which it is healthy again.
    """

    interval_s: Annotated[float, Ge(0), Le(3600)] = 0.0
    timeout_s: Annotated[float, Gt(0), Le(60)] = 1.0
    path: str = "/health"
    unhealthy_after: Annotated[int, Ge(1), Le(1000)] = 2
    healthy_after: Annotated[int, Ge(1), Le(1000)] = 1

    def __post_init__(self) -> None:
        """Raises `ValueError` for a path without a slash, which would extend the host's name."""
        if not self.path.startswith("/"):
            raise ValueError(f"Expected a path that begins with a slash, got {self.path!r}.")


class Checked(Protocol):
    """An instance, as the checks need it. An instance that stays in the list is the same object in each round."""

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        ...

    @property
    def weight(self) -> int:
        """Its share of the calls. With 0 it gets no calls, and so no checks."""
        ...


I = TypeVar("I", bound=Checked)  # noqa: E741 - an instance


class HealthTargets(Protocol[I]):
    """The balancer, as the checks need it: the current instances, and a method for the results."""

    @property
    def instances(self) -> tuple[I, ...]:
        """The current instances."""
        ...

    def set_health(self, instance: I, *, healthy: bool) -> None:
        """Set whether an instance is healthy. Setting the same again changes nothing."""
        ...


def next_streak(streak: int, *, passed: bool) -> int:
    """The number of consecutive passes after one more check; for consecutive failures it is negative."""
    return max(streak, 0) + 1 if passed else min(streak, 0) - 1


class HealthChecks(Generic[I]):
    """Checks the instances of one source. The composition root runs `run` as a task and cancels it at the end."""

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
        self._streaks: dict[I, int] = {}
        self.headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"<HealthChecks {self._source}: streaks {list(self._streaks.values())}>"

    @property
    def is_on(self) -> bool:
        """Whether health checks are on."""
        return self._options.interval_s > 0

    async def run(self) -> None:
        """Check until cancelled, beginning at once. Returns at once if checks are off."""
        while self._options.interval_s:
            await self.check()
            await self._sleep(self._options.interval_s)

    async def check(self) -> None:
        """One round: check all instances concurrently, then report each streak that is long enough to the balancer."""
        async with asyncio.TaskGroup() as group:
            tasks = {i: group.create_task(self._passes(i)) for i in self._balance.instances if i.weight}
        # A new dictionary, so that removed instances are forgotten.
        self._streaks = {i: next_streak(self._streaks.get(i, 0), passed=task.result()) for i, task in tasks.items()}
        for instance, streak in self._streaks.items():
            if streak >= self._options.healthy_after:
                self._balance.set_health(instance, healthy=True)
            elif -streak >= self._options.unhealthy_after:
                self._balance.set_health(instance, healthy=False)

    async def _passes(self, instance: I) -> bool:
        request = WireRequest("GET", instance.url + self._options.path, _HEADERS + self.headers)
        try:
            async with asyncio.timeout(self._options.timeout_s):
                reply = await self._wire.send(request, max_response_bytes=_MAX_RESPONSE_BYTES)
        except Exception:  # noqa: BLE001 - any exception is a failed check, and the rounds go on
            return False
        return 200 <= reply.status < 300
