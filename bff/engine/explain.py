"""What an operation will ask of the services, wave by wave, before anything runs.

A wave is what is asked for at once; the next one needs answers of it. The figures are the most that may come of it as far as
can be told: the lengths of lists are estimated as for the operation's cost (`ListLengths`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bff.engine.operation import Operation
from bff.engine.plan import FieldPlan, LoadByKey, Method, Plan, Resolver, checked_rule, objects_in
from bff.gate.cost import ListLengths
from bff.graph.loaders import LOADS, Load


@dataclass(frozen=True, slots=True)
class Asked:
    """What a wave asks of one source in one way.

    Attributes:
        source: the source; None for a resolver of its own, which may ask anything.
        request: the request in general, or the resolver's name.
        keys: how many keys at most; None where nobody can tell.
        calls: into how many calls they go at most.
        fields: the paths of the fields that it is for.
    """

    source: str | None
    request: str
    keys: int | None
    calls: int | None
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an operation is, what it costs by the variant's limits, and what it asks for.

    `by` is `plan`, or why there is none; then there are no waves to tell of. `access` has the fields that not everybody may
    have, each with what it needs.
    """

    operation: str | None
    kind: str
    by: str
    cost: int
    cost_limit: int
    depth: int
    depth_limit: int
    waves: tuple[tuple[Asked, ...], ...]
    plan: str
    access: tuple[tuple[str, str], ...] = ()

    @property
    def calls(self) -> int:
        """All calls at most, resolvers of their own not counted."""
        return sum(asked.calls or 0 for wave in self.waves for asked in wave)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        waves = [
            [
                {
                    "source": asked.source,
                    "request": asked.request,
                    "keys": asked.keys,
                    "calls": asked.calls,
                    "fields": list(asked.fields),
                }
                for asked in wave
            ]
            for wave in self.waves
        ]
        return {
            "operation": self.operation,
            "type": self.kind,
            "by": self.by,
            "cost": self.cost,
            "costLimit": self.cost_limit,
            "depth": self.depth,
            "depthLimit": self.depth_limit,
            "calls": self.calls,
            "access": [{"field": path, "needs": rule} for path, rule in self.access],
            "waves": waves,
            "plan": self.plan.splitlines(),
        }

    def as_text(self) -> str:
        """For people."""
        name = self.operation or "(unnamed)"
        own = sum(asked.source is None for wave in self.waves for asked in wave)
        besides = f", and what {_number(own, 'resolver')} may ask" if own else ""
        lines = [
            f"{self.kind} {name}: {_number(len(self.waves), 'wave')}, at most {_number(self.calls, 'call')}{besides}",
            f"cost {self.cost} of {self.cost_limit}, depth {self.depth} of {self.depth_limit}",
        ]
        if not self.plan:
            lines.append(f"no plan ({self.by}): graphql-core runs it, and what it asks for is not known beforehand")
        lines += [f"{path} needs: {rule}" for path, rule in self.access]
        for number, wave in enumerate(self.waves, start=1):
            lines.append(f"wave {number}")
            for asked in wave:
                amount = "" if asked.keys is None else f", up to {_number(asked.keys, 'key')}"
                lines.append(f"  {asked.source or 'resolver'}  {asked.request}{amount}")
                lines += [f"    {path}" for path in asked.fields]
        return "\n".join(lines) + "\n"


def explain(
    operation: Operation, variables: Mapping[str, Any], *, cost: int, cost_limit: int, depth: int, depth_limit: int
) -> Explanation:
    """Explain the operation with those variables. Raises `InvalidVariables`."""
    planned = operation.planned(operation.variables.coerce(variables), variables)
    figures = (cost, cost_limit, depth, depth_limit)
    if isinstance(planned, Exception):
        return Explanation(operation.name, operation.kind.value, planned.reason, *figures, (), "")
    walk = _Walk(planned.plan, ListLengths(operation.node, variables))
    waves = walk.waves()
    return Explanation(
        operation.name, operation.kind.value, "plan", *figures, waves, planned.plan.text(), tuple(walk.access)
    )


@dataclass(slots=True)
class _Group:
    load: Load | None
    request: str
    keys: int | None = 0
    fields: list[str] = field(default_factory=list)


class _Walk:
    """One walk over a plan. A value that is there in wave n was asked for in it; what is there from the start has 0."""

    def __init__(self, plan: Plan, lengths: ListLengths) -> None:
        self._plan = plan
        self._lengths = lengths
        self._groups: list[dict[Any, _Group]] = []
        self.access: list[tuple[str, str]] = []
        """Fields that not everybody may have, and what they need."""

    def waves(self) -> tuple[tuple[Asked, ...], ...]:
        begin = 0
        for each in self._plan.root.fields:
            self._field(each, (), begin, 1, None, None)
            if self._plan.serially:
                begin = len(self._groups)
        return tuple(tuple(map(_asked, groups.values())) for groups in self._groups)

    def _field(
        self,
        each: FieldPlan,
        above: tuple[str, ...],
        wave: int,
        times: int,
        listed: int | None,
        parent: str | None,
    ) -> None:
        path = (*above, each.key)
        source = each.source
        rule = checked_rule(source)
        if rule is not None:
            self.access.append((".".join(path), rule.as_words()))
        loader = None
        if isinstance(source, LoadByKey):
            loader = source.loaded.loader
            prefetch = source.loaded.prefetch
            is_prefetched = prefetch is not None and prefetch.loader == parent
            # Its key is known as soon as its parent's is: then it goes out together with it.
            wave = wave if is_prefetched else wave + 1
            load = LOADS[loader]
            group = (loader, each.arguments.text() if load.by_arguments else "")
            self._note(wave, group, load, load.request, times, path)
        elif self._waits(source):
            wave += 1
            name = f"{each.parent}.{each.name}"
            self._note(wave, name, None, name, None, path)
        each_brings, below = self._lengths.of(each.nodes[0], each.definition, listed)
        for plan in objects_in(each.shape):
            for child in plan.fields:
                self._field(child, path, wave, times * each_brings, below, loader)

    @staticmethod
    def _waits(source: Any) -> bool:
        """Whether a resolver may wait for something of its own."""
        if isinstance(source, Method):
            return bool(source.definition.is_async)
        return isinstance(source, Resolver) and getattr(source.resolve, "__name__", "") == "_async_resolver"

    def _note(self, wave: int, key: Any, load: Load | None, request: str, keys: int | None, path: tuple[str, ...]) -> None:
        while len(self._groups) < wave:
            self._groups.append({})
        group = self._groups[wave - 1].setdefault(key, _Group(load, request))
        group.keys = None if keys is None or group.keys is None else group.keys + keys
        group.fields.append(".".join(path))


def _asked(group: _Group) -> Asked:
    load, keys = group.load, group.keys
    calls = None if load is None or keys is None else -(-keys // load.keys_a_call)
    return Asked(None if load is None else load.source, group.request, keys, calls, tuple(group.fields))


def _number(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
