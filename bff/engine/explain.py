"""Explains an operation before it runs: its cost, the calls that it makes and their waves, beside the variant's limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bff.engine.operation import Operation, Planned
from bff.engine.plan_text import plan_text
from bff.engine.work import Waves, WorkWalk, work_in
from bff.gate.cost import ListLengths


@dataclass(frozen=True, slots=True)
class Explanation:
    """An operation's cost and depth against the variant's limits, and its calls.

    Attributes:
        operation: its name; None if it has none.
        kind: query, mutation or subscription.
        by: `plan`, or the reason why there is none: then there are no waves.
        waves: the calls of each wave.
        calls_limit: the most calls that an operation may take; None without a limit.
        waves_limit: the most waves.
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
    waves: Waves
    plan: str
    access: tuple[tuple[str, str], ...] = ()
    calls_limit: int | None = None
    waves_limit: int | None = None

    @property
    def calls(self) -> int:
        """The most calls in all waves, without those of resolvers."""
        return work_in(self.waves).calls or 0

    @property
    def is_within_limits(self) -> bool:
        """Whether the limits allow that many calls and waves."""
        beyond_calls = self.calls_limit is not None and self.calls > self.calls_limit
        return not beyond_calls and (self.waves_limit is None or len(self.waves) <= self.waves_limit)

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
            "callsLimit": self.calls_limit,
            "wavesLimit": self.waves_limit,
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
        limits = [(self.calls_limit, "call"), (self.waves_limit, "wave")]
        if allowed := [_number(limit, thing) for limit, thing in limits if limit is not None]:
            refusal = "" if self.is_within_limits else ": it is refused"
            lines.append(f"allowed are {' and '.join(allowed)}{refusal}")
        if not self.plan:
            lines.append(f"no plan ({self.by}): graphql-core runs it, and what it asks for is not known beforehand")
        lines += [f"{path} needs: {rule}" for path, rule in self.access]
        for number, wave in enumerate(self.waves, start=1):
            lines.append(f"wave {number}")
            for asked in wave:
                amount = "" if asked.keys is None else f", up to {_number(asked.keys, 'key')}"
                amount += "" if asked.calls in {None, 1} else f" in {_number(asked.calls or 0, 'call')}"
                lines.append(f"  {asked.source or 'resolver'}  {asked.request}{amount}")
                lines += [f"    {path}" for path in asked.fields]
        return "\n".join(lines) + "\n"


def explain(
    operation: Operation,
    variables: Mapping[str, Any],
    *,
    cost: int,
    cost_limit: int,
    depth: int,
    depth_limit: int,
    calls_limit: int | None = None,
    waves_limit: int | None = None,
) -> Explanation:
    """Explain the operation with those variables. Raises `InvalidVariables`."""
    planned = operation.planned(operation.variables.coerce(variables))
    waves, text, by, access = (), "", "plan", ()  # type: Waves, str, str, tuple[tuple[str, str], ...]
    if isinstance(planned, Planned):
        walk = WorkWalk(planned.plan, ListLengths(operation.node, variables))
        waves, text, access = walk.waves(), plan_text(planned.plan), tuple(walk.access)
    else:
        by = planned.reason
    return Explanation(
        operation.name,
        operation.kind.value,
        by,
        cost,
        cost_limit,
        depth,
        depth_limit,
        waves,
        text,
        access,
        calls_limit,
        waves_limit,
    )


def _number(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
