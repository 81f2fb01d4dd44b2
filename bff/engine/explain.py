"""Explains an operation before it runs: which calls it makes, in which waves.

A wave has the calls that go out together; each wave needs results of the one before. The numbers are upper bounds, with the
lengths of lists estimated as for the operation's cost (`ListLengths`).
"""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bff.engine.operation import Operation
from bff.engine.plan import FieldPlan, LoadByKey, Method, Plan, Resolver, Source, checked_rule, objects_in
from bff.engine.plan_text import plan_text
from bff.gate.cost import ListLengths
from bff.upstream.reads import Read


@dataclass(frozen=True, slots=True)
class Asked:
    """The equal calls of a wave to one source.

    Attributes:
        source: the source; None for a resolver of the application, which may call any.
        request: the request without its values, or the resolver's name.
        keys: the most keys that are asked for; None if unknown.
        calls: the most calls; None if unknown.
        fields: the paths of the fields that need them.
    """

    source: str | None
    request: str
    keys: int | None
    calls: int | None
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """An operation's cost and depth against the variant's limits, and its calls.

    Attributes:
        operation: its name; None if it has none.
        kind: query, mutation or subscription.
        by: `plan`, or the reason why there is none: then there are no waves.
        waves: the calls of each wave.
        plan: the plan's text; empty without one.
        access: the fields with an access rule, by path, each with what it needs.
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
        """The most calls in all waves, without those of resolvers."""
        return sum(asked.calls or 0 for wave in self.waves for asked in wave)

    def as_json(self) -> dict[str, Any]:
        """The explanation as JSON values."""
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
        """The explanation as lines of text."""
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
    planned = operation.planned(operation.variables.coerce(variables))
    figures = (cost, cost_limit, depth, depth_limit)
    if isinstance(planned, Exception):
        return Explanation(operation.name, operation.kind.value, planned.reason, *figures, (), "")
    walk = _Walk(planned.plan, ListLengths(operation.node, variables))
    waves = walk.waves()
    return Explanation(
        operation.name, operation.kind.value, "plan", *figures, waves, plan_text(planned.plan), tuple(walk.access)
    )


@dataclass(slots=True)
class _Group:
    """The calls of a wave that become one `Asked`. `load` is None for a resolver."""

    read: Read | None
    request: str
    keys: int | None = 0
    fields: list[str] = field(default_factory=list)


class _Walk:
    """One walk over a plan. A value of wave n is available after wave n; one of wave 0 needs no call.

    Attributes:
        access: the fields with an access rule, by path, each with what it needs.
    """

    def __init__(self, plan: Plan, lengths: ListLengths) -> None:
        self._plan = plan
        self._lengths = lengths
        self._groups: list[dict[Hashable, _Group]] = []
        self.access: list[tuple[str, str]] = []

    def waves(self) -> tuple[tuple[Asked, ...], ...]:
        wave = 0
        for each in self._plan.root.fields:
            self._visit(each, (), wave, 1, None)
            if self._plan.is_serial:
                wave = len(self._groups)
        return tuple(tuple(map(_asked, groups.values())) for groups in self._groups)

    def _visit(
        self,
        each: FieldPlan,
        parent_path: tuple[str, ...],
        wave: int,
        times: int,
        listed: int | None,
        prefetched: Collection[str] = (),
    ) -> None:
        """Note what the field and those below it need.

        Args:
            each: the field.
            parent_path: the path of its object, without list indexes.
            wave: the wave after which its object is available.
            times: the most objects that have the field.
            listed: the list length that the field inherits (`ListLengths.of`).
            prefetched: the keys of its object's fields that are loaded in the object's own wave.
        """
        path = (*parent_path, each.key)
        source = each.source
        rule = checked_rule(source)
        if rule is not None:
            self.access.append((".".join(path), rule.as_words()))
        if isinstance(source, LoadByKey):
            wave = wave if each.key in prefetched else wave + 1
            read = source.loaded.read
            group = (read, each.arguments.text() if read.by_arguments else "")
            self._note(wave, group, read, read.request, times, path)
        elif self._may_wait(source):
            wave += 1
            name = f"{each.parent}.{each.name}"
            self._note(wave, name, None, name, None, path)
        length, listed_below = self._lengths.of(each.nodes[0], each.definition, listed)
        for plan in objects_in(each.shape):
            for child in plan.fields:
                self._visit(child, path, wave, times * length, listed_below, each.prefetches)

    @staticmethod
    def _may_wait(source: Source) -> bool:
        """Whether it is a resolver that may await something, such as a call."""
        if isinstance(source, Method):
            return bool(source.definition.is_async)
        return isinstance(source, Resolver) and getattr(source.resolve, "__name__", "") == "_async_resolver"

    def _note(
        self, wave: int, key: Hashable, read: Read | None, request: str, keys: int | None, path: tuple[str, ...]
    ) -> None:
        while len(self._groups) < wave:
            self._groups.append({})
        group = self._groups[wave - 1].setdefault(key, _Group(read, request))
        group.keys = None if keys is None or group.keys is None else group.keys + keys
        group.fields.append(".".join(path))


def _asked(group: _Group) -> Asked:
    read, keys = group.read, group.keys
    calls = None if read is None or keys is None else -(-keys // read.keys_a_call)
    return Asked(None if read is None else read.source.name, group.request, keys, calls, tuple(group.fields))


def _number(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
