"""Caches prepared documents: a document is parsed, validated and measured once.

One `Plans` a variant. Its limit is the memory of documents and their plans; the least recently used document is evicted.
It holds no data of a request, and no document that was refused.
"""

import asyncio
import gc
import sys
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from graphql import GraphQLSchema
from graphql.execution.executor import default_field_resolver

from bff.engine.arguments import InvalidVariables
from bff.engine.bindings import Bindings
from bff.engine.explain import Explanation, explain
from bff.engine.operation import Operation, Planned, Ready
from bff.engine.pace import Pace
from bff.engine.prepare import GoodDocument, Preparation, has_variable_lengths
from bff.engine.rows import Memo
from bff.engine.work import Work, WorkWalk, work_in
from bff.errors import InvalidOperation, TooComplex
from bff.gate.cost import CostModel, ListLengths
from bff.gate.limits import LimitOptions, check_work, depth_of, most_waves_of
from bff.runtime.bounded_cache import BoundedCache

MOST_BYTES = 32 * 1024 * 1024
"""Memory for a variant's documents, by the estimates below. A typical document with its plan takes about 100 KB."""
_LARGEST_SHARE = 4
"""A document that takes more than this part of the memory (a quarter) is not cached."""
_MOST_DOCUMENTS = 1000
_DOCUMENT_BYTES = 4000
_NODE_BYTES = 450
"""A node of the syntax tree with its coerced value. Measured: 230 to 400 bytes."""
_SHORT = 250
"""Characters. A document up to this length is prepared at once, in a few milliseconds: pacing would cost more."""
_COLLECTED_EVERY = 5
"""Documents between two garbage collections: preparing leaves cycles, and automatic collections are set to be rare."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared document: its operations by name. `document_bytes`: its memory without plans, an estimate."""

    operations: Mapping[str | None, Operation]
    document_bytes: int

    @property
    def weight(self) -> int:
        """Its memory with the plans compiled so far, in bytes. An estimate."""
        return self.document_bytes + sum(each.weight for each in self.operations.values())

    def operation(self, name: str | None) -> Operation:
        """The operation to execute (GraphQL specification, GetOperation). Raises `InvalidOperation`."""
        if name:
            found = self.operations.get(name)
            if found is None:
                raise InvalidOperation("There is no operation of that name in the document.")
            return found
        if len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if self.operations:
            raise InvalidOperation("The document has several operations: operationName has to name one of them.")
        raise InvalidOperation("The document has no operation to execute.")


class Plans:
    """The prepared documents of a variant.

    Args:
        schema: the variant's schema.
        limits: the variant's limits.
        introspection: whether documents may use introspection.
        suggestions: whether errors may suggest names of the schema; None for the same as `introspection`.
        public: types of records that are immutable and belong to no viewer.
        pace: shared by all work of an event loop.
        max_bytes: the memory for all documents, by estimates.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: LimitOptions,
        *,
        introspection: bool,
        suggestions: bool | None = None,
        public: Collection[type] = (),
        pace: Pace | None = None,
        max_bytes: int = MOST_BYTES,
    ) -> None:
        self.pace = pace or Pace()
        self._schema = schema
        self._limits = limits
        self._cost = CostModel(schema)
        self._suggestions = introspection if suggestions is None else suggestions
        self._memo = Memo(public)
        self._bindings = Bindings(schema, default_field_resolver)
        self._preparation = Preparation(schema, limits, introspection=introspection, hide_suggestions=self.hide_suggestions)
        self._known: BoundedCache[str, Prepared] = BoundedCache(
            max_weight=max_bytes, max_entries=_MOST_DOCUMENTS, largest_share=_LARGEST_SHARE
        )
        self._preparing = asyncio.Lock()
        self._made = 0

    def __repr__(self) -> str:
        return f"<Plans {len(self._known)} documents, {self._known.weight} bytes>"

    @property
    def hide_suggestions(self) -> bool:
        """Whether errors suggest no names of the schema: a client that may not introspect must not learn them otherwise."""
        return not self._suggestions

    @property
    def weight(self) -> int:
        """The memory of all documents and their plans, in bytes. An estimate."""
        return self._known.weight

    def known(self, text: str) -> Prepared | None:
        """The document, if it is cached."""
        return self._known.get(text)

    def get(self, text: str) -> tuple[Prepared, bool]:
        """The prepared document, and whether it was cached. Raises `DocumentError`, `TooComplex`."""
        known = self._known.get(text)
        if known is not None:
            return known, True
        stages = self._stages(text)
        while True:
            try:
                next(stages)
            except StopIteration as done:
                return done.value, False

    async def prepare(self, text: str) -> tuple[Prepared, bool]:
        """As `get`, one document at a time, each stage paced. A short document is prepared at once.

        Concurrent requests for the same new document prepare it once.
        """
        if len(text) <= _SHORT:
            return self.get(text)
        async with self._preparing:
            known = self._known.get(text)
            if known is not None:
                return known, True
            stages = self._stages(text)
            while True:
                await self.pace.turn()
                try:
                    next(stages)
                except StopIteration as done:
                    return done.value, False

    def check_cost(self, operation: Operation, variables: Mapping[str, Any]) -> int:
        """The operation's cost with those variables. Raises `TooComplex` if it exceeds the variant's limit."""
        cost = operation.fixed_cost
        if cost is None:
            cost = self._cost.of(operation.node, operation.fragments, variables)
        if cost > self._limits.cost:
            raise TooComplex("cost", cost, self._limits.cost)
        return cost

    @property
    def limits_work(self) -> bool:
        """Whether there is a limit on upstream calls or waves, so that `check_work` has something to check."""
        return self._limits.calls is not None or self._limits.waves is not None

    def check_work(self, operation: Operation, variables: Mapping[str, Any]) -> Ready | None:
        """Check the operation's upstream calls and waves. Raises `TooComplex`.

        Returns what was made for that, for the run; None if the variables are invalid, which the run reports.
        """
        try:
            coerced = operation.variables.coerce(variables)
        except InvalidVariables:
            return None
        planned = operation.planned(coerced)
        if isinstance(planned, Planned):
            work = planned.work or _work_of(planned, operation, variables)
        else:
            work = Work(None, most_waves_of(operation.node, operation.fragments))
        check_work(work.calls, work.waves, self._limits)
        return Ready(coerced, planned)

    def explain(self, operation: Operation, variables: Mapping[str, Any]) -> Explanation:
        """Explain the operation with those variables. Raises `InvalidVariables`."""
        return explain(
            operation,
            variables,
            cost=self._cost.of(operation.node, operation.fragments, variables),
            cost_limit=self._limits.cost,
            depth=depth_of(operation.node, operation.fragments),
            depth_limit=self._limits.depth,
            calls_limit=self._limits.calls,
            waves_limit=self._limits.waves,
        )

    def _stages(self, text: str) -> Generator[None, None, Prepared]:
        good = yield from self._preparation.stages(text)
        try:
            prepared = self._prepared(text, good)
        except RecursionError:
            raise self._preparation.too_deep() from None
        self._known.put(text, prepared, prepared.weight)
        self._collect()
        return prepared

    def _collect(self) -> None:
        self._made += 1
        if self._made % _COLLECTED_EVERY == 0:
            gc.collect(1)  # not 0: a plan that is dropped after its run has survived younger collections

    def _prepared(self, text: str, good: GoodDocument) -> Prepared:
        on_compiled = partial(self._on_compiled, text)
        is_cost_variable = has_variable_lengths(good.fragments.values())
        operations = {}
        hashed = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
        for node in good.operations:
            is_variable = is_cost_variable or has_variable_lengths([node])
            fixed_cost = None if is_variable else self._cost.of(node, good.fragments, {})
            operation = Operation(
                self._schema,
                good.document,
                node,
                good.fragments,
                fixed_cost,
                digest=hashed + (node.name.value.encode() if node.name else b""),
                hide_suggestions=self.hide_suggestions,
                memo=self._memo,
                switches=good.switches,
                bindings=self._bindings,
                on_compiled=on_compiled,
                is_small=len(text) <= _SHORT,
            )
            operations[operation.name] = operation
        # Twice the text: the tree repeats it in names and strings.
        return Prepared(operations, _DOCUMENT_BYTES + 2 * sys.getsizeof(text) + _NODE_BYTES * good.nodes)

    def _on_compiled(self, text: str, operation: Operation) -> None:
        """Update the weight of a document of which an operation was compiled, if it is still cached."""
        self._collect()
        known = self._known.peek(text)
        if known is not None and known.operations.get(operation.name) is operation:
            self._known.reweigh(text, known.weight)


def _work_of(planned: Planned, operation: Operation, variables: Mapping[str, Any]) -> Work:
    """The plan's work with those variables. Kept with the plan if it depends on none."""
    lengths = ListLengths(operation.node, variables)
    work = work_in(WorkWalk(planned.plan, lengths).waves())
    if not lengths.depends_on_variables:
        planned.work = work
    return work
