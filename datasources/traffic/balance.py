"""Balance: which of a source's instances gets a call. Smooth weighted round robin: no instance is ever sent a burst."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from datasources.errors import SourceError
from datasources.traffic.call import Call, Reply


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """Where an instance is, and its share of the calls: 2 gets twice what 1 gets, 0 gets none."""

    url: str
    weight: int = 1


class Instance:
    """One instance of a source. Numbered from 1 in the order of the settings; its URL is never shown."""

    def __init__(self, number: int, options: InstanceOptions) -> None:
        self.number = number
        self.url = options.url.rstrip("/")
        self.weight = options.weight
        self.healthy = True
        """Whether its last call got through to an answer that doesn't count against it."""
        self.credit = 0

    def __repr__(self) -> str:
        return f"<Instance {self.number} weight={self.weight} healthy={self.healthy}>"


Attempt = Callable[[Call, Instance], Awaitable[Reply]]


class Balance:
    """Chooses an instance for each call and keeps in mind how it did. The last policy: below it is the attempt."""

    def __init__(self, instances: Sequence[InstanceOptions], attempt: Attempt) -> None:
        self.instances = tuple(Instance(number, options) for number, options in enumerate(instances, start=1))
        self._total = sum(instance.weight for instance in self.instances)
        self._attempt = attempt

    async def __call__(self, call: Call) -> Reply:
        """Make the call at the instance whose turn it is."""
        instance = self._choose()
        try:
            reply = await self._attempt(call, instance)
        except SourceError as error:
            if error.counts:
                instance.healthy = False
            elif error.answered:
                instance.healthy = True
            raise
        instance.healthy = True
        return reply

    def _choose(self) -> Instance:
        if len(self.instances) == 1:
            return self.instances[0]
        for instance in self.instances:
            instance.credit += instance.weight
        chosen = max(self.instances, key=lambda instance: instance.credit)
        chosen.credit -= self._total
        return chosen
