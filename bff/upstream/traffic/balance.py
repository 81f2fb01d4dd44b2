"""Balance: chooses an instance of the source for each call, and ejects instances that fail for a while.

Each instance gets its share by weight; busy and failing instances get less. There is always an instance to choose. It makes
each call once, and doesn't look at what a call requests.

The choice (power of two choices): pick two instances at random by weight, with replacement; take the one with fewer calls
in flight for its weight, the first one on a tie. With nothing in flight the shares are the weights. Exceptions:
1. an instance that is out (ejected, or unhealthy by its health check) isn't picked. If all are out, all may be picked.
2. an instance to which this call was sent before isn't picked if there is another.
3. an instance whose last call was a fault (a "suspect") loses against one whose last call was not.

Ejection: a fault is an error that counts against the service. After `consecutive_faults` an instance is ejected, each time
for twice as long as the time before. Then it is in again, with a count of 0. The doubling starts over with the first reply
after the instance was in, without a fault, for as long as its last ejection lasted. Time without a reply doesn't reset it.
An error that doesn't count and isn't a reply changes nothing.

At most `max_ejected_ratio` of the instances are ejected. Unhealthy instances use up that share too: if one more becomes
unhealthy, the ejection that would end soonest ends at once.
"""

import random
import time
from bisect import bisect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Annotated

from annotated_types import Ge, Gt, Le

from bff.runtime.clock import Clock
from bff.runtime.options import options
from bff.upstream.errors import SourceError
from bff.upstream.events import InstanceChanged, InstanceState, Listener
from bff.upstream.traffic.call import Call, Reply


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """An instance's base URL, and its weight: 2 gets twice the calls of 1, 0 gets none."""

    url: str
    weight: int = 1


@options
class BalanceOptions:
    """Ejection of one source's instances. Durations in seconds.

    Attributes:
        consecutive_faults: faults in a row after which an instance is ejected.
        ejection_s: the first ejection's duration. Each further ejection takes twice as long.
        max_ejection_s: the longest duration of an ejection.
        max_ejected_ratio: the share of instances that may be ejected at once, rounded down. Weight 0 isn't counted.
    """

    consecutive_faults: Annotated[int, Ge(1), Le(1000)] = 5
    ejection_s: Annotated[float, Gt(0), Le(3600)] = 10.0
    max_ejection_s: Annotated[float, Gt(0), Le(86_400)] = 300.0
    max_ejected_ratio: Annotated[float, Ge(0), Le(1)] = 0.5


_DEFAULTS = BalanceOptions()


class Instance:
    """One instance of a source. Its number is its current position in the list, from 1; its URL is never shown.

    Only `Balance` uses the attributes other than `number`, `url`, `weight`, `state` and `healthy`.
    """

    def __init__(self, number: int, options: InstanceOptions) -> None:
        self.number = number
        self.url = options.url.rstrip("/")
        self.weight = options.weight
        self.state = InstanceState.IN
        self.in_flight = 0
        self.suspect = False
        """Whether its last call was a fault."""
        self.faults = 0
        """Faults in a row."""
        self.ejected_s = 0.0
        """The duration of its last ejection; 0 if there was none, or after the doubling was reset."""
        self.back_at = inf
        """When its ejection ends; infinite if it isn't ejected."""
        self.without_fault_since = -inf
        """The time of its last fault, or of its return if that was later."""

    def __repr__(self) -> str:
        suspect = ", suspect" if self.suspect else ""
        return f"<Instance {self.number} weight={self.weight} {self.state}{suspect}, {self.in_flight} running>"

    @property
    def healthy(self) -> bool:
        """Whether it is in and its last call was no fault."""
        return not self.suspect and self.state is InstanceState.IN


AttemptOn = Callable[[Call, Instance], Awaitable[Reply]]


class Pool:
    """An immutable set of instances to choose from, each with a weight above 0."""

    __slots__ = ("_ends", "_last", "_total", "instances")

    def __init__(self, instances: Iterable[Instance]) -> None:
        self.instances = tuple(instances)
        self._ends = tuple(accumulate(instance.weight for instance in self.instances))
        self._last = len(self.instances) - 1
        self._total = self._ends[-1]

    def __repr__(self) -> str:
        return f"<Pool of {', '.join(str(instance.number) for instance in self.instances)}>"

    def without(self, tried: Sequence[int]) -> "Pool":
        """The instances that were not tried; all of them if all were tried."""
        fresh = [instance for instance in self.instances if instance.number not in tried]
        return Pool(fresh) if fresh else self

    def choose(self, random: Callable[[], float]) -> Instance:
        """The better of two random picks. `random` returns a number from 0 up to 1."""
        instances, last = self.instances, self._last
        if not last:
            return instances[0]
        ends, total = self._ends, self._total
        first = instances[bisect(ends, random() * total, 0, last)]
        second = instances[bisect(ends, random() * total, 0, last)]
        if first.suspect is not second.suspect:
            return second if first.suspect else first
        # Cross-multiplied: calls in flight for each unit of weight, without a division.
        return second if second.in_flight * first.weight < first.in_flight * second.weight else first


class Balance:
    """Chooses an instance for each call and counts its faults. The innermost policy: below it is the attempt."""

    def __init__(
        self,
        source: str,
        instances: Sequence[InstanceOptions],
        attempt: AttemptOn,
        emit: Listener,
        options: BalanceOptions = _DEFAULTS,
        clock: Clock = time.monotonic,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._attempt = attempt
        self._emit = emit
        self._options = options
        self._clock = clock
        self._random = random
        self.instances: tuple[Instance, ...] = ()
        self.set_instances(instances)

    def __repr__(self) -> str:
        inside = sum(instance.state is InstanceState.IN for instance in self.instances)
        return f"<Balance {self._source}: {inside} of {len(self.instances)} in>"

    async def __call__(self, call: Call) -> Reply:
        """Send the call to a chosen instance, whose number is added to `call.tried`. Raises what the attempt raises."""
        instance = self._choose(call.tried)
        call.tried.append(instance.number)
        instance.in_flight += 1
        try:
            reply = await self._attempt(call, instance)
        except SourceError as error:
            self._count_error(instance, error)
            raise
        finally:
            instance.in_flight -= 1
        if instance.suspect or instance.ejected_s:
            self._count_reply(instance)
        return reply

    async def hold(self, call: Call, attempt: AttemptOn) -> Reply:
        """As calling it, for a streamed call: the call is in flight until the stream has ended."""
        instance = self._choose(call.tried)
        call.tried.append(instance.number)
        instance.in_flight += 1
        try:
            reply = await attempt(call, instance)
        except BaseException as error:
            instance.in_flight -= 1
            if isinstance(error, SourceError):
                self._count_error(instance, error)
            raise

        def end(error: SourceError | None) -> None:
            instance.in_flight -= 1
            if error is not None:
                self._count_error(instance, error)
            elif instance.suspect or instance.ejected_s:
                self._count_reply(instance)

        reply.value.on_end(end)
        return reply

    def set_instances(self, options: Sequence[InstanceOptions]) -> None:
        """Change the list. Instances whose URL was in it keep their state. Removed ones finish their calls and get no more.

        Raises `ValueError` if no instance has a weight.
        """
        if not any(option.weight > 0 for option in options):
            raise ValueError(f"Expected an instance of {self._source} with a weight above 0, got {len(options)} without.")
        known = {instance.url: instance for instance in self.instances}
        instances = []
        for number, option in enumerate(options, start=1):
            # The object stays the same: calls in flight refer to it, and decrement its count.
            instance = known.pop(option.url.rstrip("/"), None) or Instance(number, option)
            instance.number, instance.weight = number, option.weight
            instances.append(instance)
        self.instances = tuple(instances)
        self._prepare_choice()
        self._end_excess_ejections()

    def set_health(self, instance: Instance, *, healthy: bool) -> None:
        """Set what the health checks found. Healthy puts an unhealthy instance back; it never ends an ejection."""
        if instance not in self.instances:  # removed during its check
            return
        if not healthy and instance.state is not InstanceState.UNHEALTHY:
            self._set_state(instance, InstanceState.UNHEALTHY)
            self._end_excess_ejections()
        elif healthy and instance.state is InstanceState.UNHEALTHY:
            instance.suspect = False  # the check passed after its last call
            self._set_state(instance, InstanceState.IN)

    def _choose(self, tried: Sequence[int]) -> Instance:
        if self._next_back_at < inf:
            self._end_due_ejections(self._clock())
        pool = self._pool.without(tried) if tried else self._pool
        return pool.choose(self._random)

    def _count_error(self, instance: Instance, error: SourceError) -> None:
        if error.counts:
            self._count_fault(instance, error)
        elif error.answered:
            self._count_reply(instance)
        # otherwise it says nothing of the instance, as when the caller's deadline ended the call

    def _count_reply(self, instance: Instance) -> None:
        instance.suspect = False
        instance.faults = 0
        inside = instance.state is InstanceState.IN
        if inside and instance.ejected_s and self._clock() - instance.without_fault_since >= instance.ejected_s:
            instance.ejected_s = 0.0

    def _count_fault(self, instance: Instance, error: SourceError) -> None:
        now = self._clock()
        self._end_due_ejections(now)
        instance.suspect = True
        instance.faults += 1
        instance.without_fault_since = now
        if instance.faults >= self._options.consecutive_faults and self._may_eject(instance):
            self._eject(instance, now)
        if any(other.weight and other.healthy for other in self.instances):
            # The breaker is the source's. If it counted this fault, one dead instance of two could open it, and it would
            # refuse calls that the other instance can serve.
            error.counts = False

    def _may_eject(self, instance: Instance) -> bool:
        listed = instance.weight and instance in self.instances
        return bool(listed) and instance.state is InstanceState.IN and self._out() < self._max_out

    def _eject(self, instance: Instance, now: float) -> None:
        for_s = min(instance.ejected_s * 2 or self._options.ejection_s, self._options.max_ejection_s)
        instance.ejected_s = for_s
        instance.back_at = now + for_s
        self._set_state(instance, InstanceState.EJECTED, for_s)

    def _end_due_ejections(self, now: float) -> None:
        if now >= self._next_back_at:
            for instance in self.instances:
                if instance.back_at <= now:
                    self._set_state(instance, InstanceState.IN)

    def _end_excess_ejections(self) -> None:
        while self._out() > self._max_out:
            ejected = [i for i in self.instances if i.weight and i.state is InstanceState.EJECTED]
            if not ejected:
                return
            self._set_state(min(ejected, key=lambda instance: instance.back_at), InstanceState.IN)

    def _set_state(self, instance: Instance, state: InstanceState, for_s: float | None = None) -> None:
        instance.state = state
        if state is not InstanceState.EJECTED:
            instance.back_at = inf
            instance.faults = 0
            instance.without_fault_since = self._clock()
        self._prepare_choice()
        self._emit(InstanceChanged(self._source, instance.number, state, for_s))

    def _prepare_choice(self) -> None:
        """Compute what a choice needs, after each change, so that the choice itself is cheap."""
        weighted = [instance for instance in self.instances if instance.weight]
        # The small addend makes up for floating-point error: 0.29 of 100 must be 29.
        self._max_out = int(len(weighted) * self._options.max_ejected_ratio + 1e-9)
        self._next_back_at = min(instance.back_at for instance in self.instances)
        self._pool = Pool([i for i in weighted if i.state is InstanceState.IN] or weighted)

    def _out(self) -> int:
        return sum(1 for i in self.instances if i.weight and i.state is not InstanceState.IN)
