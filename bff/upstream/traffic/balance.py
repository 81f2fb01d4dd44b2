"""Balance: which of a source's instances gets a call, and which get none for a while.

It promises each instance its share by weight, spares one that is busy, keeps away from one that failed, and never leaves a
call without an instance. It never makes a call twice and never looks at what a call asks for.

The choice: two picks at random by weight, with replacement; the one that has fewer calls in flight for its weight is taken,
the first on a tie. With nothing in flight the shares are the weights. The cases that go before it:
1. an instance that is out (ejected, or unhealthy by its health check) isn't picked. If all are out, all are picked from:
   better a try than none.
2. an instance that this call was sent to before isn't picked where another one can be.
3. an instance whose last call was a fault ("suspect") loses against one that isn't.

The ejection: a fault is an error that counts. After `consecutive_faults` in a row an instance is ejected, each time for
twice as long as the time before; then it is in again, with an empty row. Its ejections are forgotten with the first answer
that comes when it has been in, and without a fault, for as long as it was last ejected: the next one is a first one again.
Time without an answer proves nothing and forgets nothing. An error that neither counts nor was answered says nothing.

No more than `max_ejected_ratio` are out by ejection. Those that are unhealthy take up that room, and an ejection yields to
them: the one that would end soonest ends at once.
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

from bff.runtime.options import options
from bff.upstream.caller import Clock
from bff.upstream.errors import SourceError
from bff.upstream.events import InstanceChanged, InstanceState, Listener
from bff.upstream.traffic.call import Call, Reply


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """Where an instance is, and its share of the calls: 2 gets twice what 1 gets, 0 gets none."""

    url: str
    weight: int = 1


@options
class BalanceOptions:
    """When an instance is left out for its faults, and for how long. Durations in seconds.

    Attributes:
        consecutive_faults: so many in a row eject an instance.
        ejection_s: how long the first time; each further time doubles it.
        max_ejection_s: and never longer than this.
        max_ejected_ratio: of the instances that have a weight, no more than this share is ejected at once, rounded down.
    """

    consecutive_faults: Annotated[int, Ge(1), Le(1000)] = 5
    ejection_s: Annotated[float, Gt(0), Le(3600)] = 10.0
    max_ejection_s: Annotated[float, Gt(0), Le(86_400)] = 300.0
    max_ejected_ratio: Annotated[float, Ge(0), Le(1)] = 0.5


_DEFAULTS = BalanceOptions()


class Instance:
    """One instance of a source. Numbered from 1 by its present place in the list; its URL is never shown.

    All but `number`, `url`, `weight`, `state` and `healthy` is the balance's own.
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
        """In a row."""
        self.ejected_s = 0.0
        """How long its last ejection was to be; 0 when there was none, or it is forgotten."""
        self.back_at = inf
        self.well_since = -inf
        """When it came in or had its last fault, whichever was later."""

    def __repr__(self) -> str:
        suspect = ", suspect" if self.suspect else ""
        return f"<Instance {self.number} weight={self.weight} {self.state}{suspect}, {self.in_flight} running>"

    @property
    def healthy(self) -> bool:
        """Whether it isn't out and its last call got through to an answer that speaks for it."""
        return not self.suspect and self.state is InstanceState.IN


AttemptOn = Callable[[Call, Instance], Awaitable[Reply]]


class Pool:
    """Instances to choose from, each with a weight. Never changed once made."""

    __slots__ = ("_ends", "_last", "_total", "instances")

    def __init__(self, instances: Iterable[Instance]) -> None:
        self.instances = tuple(instances)
        self._ends = tuple(accumulate(instance.weight for instance in self.instances))
        self._last = len(self.instances) - 1
        self._total = self._ends[-1]

    def __repr__(self) -> str:
        return f"<Pool of {', '.join(str(instance.number) for instance in self.instances)}>"

    def without(self, tried: Sequence[int]) -> "Pool":
        """Those that were not tried; all, if all were."""
        fresh = [instance for instance in self.instances if instance.number not in tried]
        return Pool(fresh) if fresh else self

    def choose(self, random: Callable[[], float]) -> Instance:
        """The better of two picks; where there is nothing to choose, no chance either."""
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
    """Chooses an instance for each call and keeps in mind how it did. The last policy: below it is the attempt."""

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
        """Make the call at a chosen instance, and note its number in `call.tried`. Raises what the attempt raises."""
        instance = self._choose(call.tried)
        call.tried.append(instance.number)
        instance.in_flight += 1
        try:
            reply = await self._attempt(call, instance)
        except SourceError as error:
            if error.counts:
                self._take_in_fault(instance, error)
            elif error.answered:
                self._take_in_answer(instance)
            raise  # else nobody answered and nobody is to blame, as when the caller's deadline cut it short
        finally:
            instance.in_flight -= 1
        if instance.suspect or instance.ejected_s:
            self._take_in_answer(instance)
        return reply

    def set_instances(self, options: Sequence[InstanceOptions]) -> None:
        """Change the list. Those with a URL of before keep their state; those removed finish what runs and get no more.

        Raises `ValueError` where nobody would be left to ask.
        """
        if not any(option.weight > 0 for option in options):
            raise ValueError(f"Expected an instance of {self._source} with a weight, got {len(options)} without.")
        known = {instance.url: instance for instance in self.instances}
        instances = []
        for number, option in enumerate(options, start=1):
            # The object itself stays: calls in flight hold it, and count down in it.
            instance = known.pop(option.url.rstrip("/"), None) or Instance(number, option)
            instance.number, instance.weight = number, option.weight
            instances.append(instance)
        self.instances = tuple(instances)
        self._sort()
        self._end_ejections_beyond_the_share()

    def set_health(self, instance: Instance, *, healthy: bool) -> None:
        """Take in what an instance's health check found. A pass ends what a failure began, and never an ejection."""
        if instance not in self.instances:  # removed while it was being asked
            return
        if not healthy and instance.state is not InstanceState.UNHEALTHY:
            self._turn(instance, InstanceState.UNHEALTHY)
            self._end_ejections_beyond_the_share()
        elif healthy and instance.state is InstanceState.UNHEALTHY:
            instance.suspect = False  # the check is newer than its last call, and was answered
            self._turn(instance, InstanceState.IN)

    def _choose(self, tried: Sequence[int]) -> Instance:
        if self._next_back_at < inf:
            self._let_in_who_is_due(self._clock())
        pool = self._pool.without(tried) if tried else self._pool
        return pool.choose(self._random)

    def _take_in_answer(self, instance: Instance) -> None:
        instance.suspect = False
        instance.faults = 0
        inside = instance.state is InstanceState.IN
        if inside and instance.ejected_s and self._clock() - instance.well_since >= instance.ejected_s:
            instance.ejected_s = 0.0

    def _take_in_fault(self, instance: Instance, error: SourceError) -> None:
        now = self._clock()
        self._let_in_who_is_due(now)
        instance.suspect = True
        instance.faults += 1
        instance.well_since = now
        if instance.faults >= self._options.consecutive_faults and self._may_eject(instance):
            self._eject(instance, now)
        if any(other.weight and other.healthy for other in self.instances):
            # The breaker above is the source's: were this fault counted there, one dead instance of two would have it
            # refuse the calls that the other one can answer.
            error.counts = False

    def _may_eject(self, instance: Instance) -> bool:
        listed = instance.weight and instance in self.instances
        return bool(listed) and instance.state is InstanceState.IN and self._out() < self._most_out

    def _eject(self, instance: Instance, now: float) -> None:
        for_s = min(instance.ejected_s * 2 or self._options.ejection_s, self._options.max_ejection_s)
        instance.ejected_s = for_s
        instance.back_at = now + for_s
        self._turn(instance, InstanceState.EJECTED, for_s)

    def _let_in_who_is_due(self, now: float) -> None:
        if now >= self._next_back_at:
            for instance in self.instances:
                if instance.back_at <= now:
                    self._turn(instance, InstanceState.IN)

    def _end_ejections_beyond_the_share(self) -> None:
        while self._out() > self._most_out:
            ejected = [i for i in self.instances if i.weight and i.state is InstanceState.EJECTED]
            if not ejected:
                return
            self._turn(min(ejected, key=lambda instance: instance.back_at), InstanceState.IN)

    def _turn(self, instance: Instance, state: InstanceState, for_s: float | None = None) -> None:
        instance.state = state
        if state is not InstanceState.EJECTED:
            instance.back_at = inf
            instance.faults = 0
            instance.well_since = self._clock()
        self._sort()
        self._emit(InstanceChanged(self._source, instance.number, state, for_s))

    def _sort(self) -> None:
        """Work out anew, after any change, what each choice needs: so that a choice itself needs little."""
        weighted = [instance for instance in self.instances if instance.weight]
        # The small addend: 0.29 of 100 shall be 29, and not what binary fractions make of it.
        self._most_out = int(len(weighted) * self._options.max_ejected_ratio + 1e-9)
        self._next_back_at = min(instance.back_at for instance in self.instances)
        self._pool = Pool([i for i in weighted if i.state is InstanceState.IN] or weighted)

    def _out(self) -> int:
        return sum(1 for i in self.instances if i.weight and i.state is not InstanceState.IN)
