"""Plans give graphql-core's results: random documents, viewers and faults of the services, executed both ways.

`PARITY_DOCUMENTS` is the number of documents for each variant; `.ci/run` sets 7,000, which makes 21,000.
"""

import json
import os
import random
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from graphql import DocumentNode, ExecutionResult, GraphQLError, GraphQLSchema, execute, parse, validate

from bff import errors
from bff.engine.located import LocatingExecutor
from bff.engine.operation import Operation, Planned
from bff.engine.prepare import Text
from bff.engine.run import Run
from bff.graph.context import Context
from bff.upstream.errors import BadAnswer, BreakerOpen, Busy, Forbidden, NotReached, SourceError, TimedOut
from tests.bff.engine.documents import Document, Documents
from tests.bff.engine.zoo import zoo
from tests.support.shop import Shop, rejected, schemas

DOCUMENTS = int(os.environ.get("PARITY_DOCUMENTS", "250"))
FAULTS: list[SourceError] = [
    BreakerOpen("source", 7),
    NotReached("source", sent=True),
    TimedOut("source", counts=True),
    BadAnswer("source", counts=True),
    Busy("source", 503, 3),
    Forbidden("source"),
]


@dataclass
class Given:
    """The viewer, and the seed of the services' faults."""

    sub: str | None
    shop: int

    def context(self, variant: str) -> Context:
        """The context, with the same faults each time."""
        source, shop = random.Random(self.shop), Shop()
        for each in (shop.users, shop.orders, shop.products):
            roll = source.random()
            if roll < 0.1:
                each.failure = source.choice(FAULTS)
            elif roll < 0.2:
                each.stale_s = source.choice((0.5, 40))
            elif roll < 0.4:
                each.broken = {number: source.choice(FAULTS) for number in range(1, 6) if source.random() < 0.5}
            elif roll < 0.5:
                each.refusal = source.choice([rejected(404), rejected(409), rejected(422, ("items[0].productId", "no"))])
        return shop.context(variant, self.sub)


def compared_parts(data: Any, faults: list[GraphQLError], context: Context) -> dict[str, Any]:
    """All that a client sees. The errors are sorted, because the specification leaves their order open."""
    with patch.object(errors, "log_fault"):
        entries = [errors.of_execution(error, "request-1") for error in faults]
    return {
        "data": json.dumps(data, default=str),
        "errors": sorted(json.dumps(entry) for entry in entries),
        "partial": sorted(f"{each.error!r} {each.path}" for each in context.partial_errors),
        "degraded": sorted(map(repr, context.degraded)),
    }


async def by_core(schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any], context: Context) -> Any:
    """graphql-core's result; None if the variables are invalid."""
    result: Any = execute(
        schema, document, context_value=context, variable_values=variables, executor_class=LocatingExecutor
    )
    result = result if isinstance(result, ExecutionResult) else await result
    if result.data is None and result.errors and all(error.path is None for error in result.errors):
        return None
    return compared_parts(result.data, result.errors or [], context)


async def by_plan(planned: Planned, operation: Operation, variables: dict[str, Any], context: Context) -> Any:
    """The plan's result."""
    run = Run(planned.plan, planned.root, context, operation.variables.coerce(variables))
    waiting = run.start()
    if waiting is not None:
        await waiting
    return compared_parts(run.response.data, run.response.errors, context)


def operation_of(schema: GraphQLSchema, document: DocumentNode) -> Operation:
    """The document's one operation."""
    node: Any = document.definitions[0]
    fragments: Any = {each.name.value: each for each in document.definitions[1:]}  # type: ignore[attr-defined]
    return Operation(schema, document, node, fragments)


async def compared(schema: GraphQLSchema, variant: str, made: Document, given: Given) -> str | None:
    """How the results differ, or what else is wrong; None if nothing is."""
    document = parse(Text(made.text))
    if faults := validate(schema, document):
        return f"not valid: {faults[0].message}"
    operation = operation_of(schema, document)
    flipped = {name: not value if isinstance(value, bool) else value for name, value in made.variables.items()}
    for variables in (made.variables, flipped) if flipped != made.variables else (made.variables,):
        theirs = await by_core(schema, document, variables, given.context(variant))
        if theirs is None:
            continue
        coerced = operation.variables.coerce(variables)
        for way in ("first", "with rows"):
            planned = operation.planned(coerced)
            if not isinstance(planned, Planned):
                return f"no plan: {planned.reason}"
            assert planned.has_rows or way == "first"
            ours = await by_plan(planned, operation, variables, given.context(variant))
            for part in theirs:
                if ours[part] != theirs[part]:
                    return f"{way}, {part}, {variables}:\n  ours   {ours[part]}\n  theirs {theirs[part]}"
    return None


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("variant", ["web", "mobile", "admin"])
async def test_random_documents_have_graphql_core_s_results(variant: str, part: int) -> None:
    """Data with its order, errors with paths, locations and codes, and degraded fields; without rows and with them."""
    number = -(-DOCUMENTS // 4)
    documents = Documents(schemas()[variant], random.Random(f"{variant} {part}"))
    source = random.Random(part)
    for _ in range(number):
        made = documents.make()
        given = Given(source.choice((None, "1", "1", "2", "9", "nobody")), source.randrange(10**9))
        difference = await compared(schemas()[variant], variant, made, given)
        assert difference is None, f"{difference}\n{given}\n{made.text}\n{made.variables}"


@pytest.mark.parametrize("part", range(4))
async def test_the_zoo_has_graphql_core_s_results(part: int) -> None:
    """Interfaces, unions, permissions, field extensions, custom scalars, enums, async resolvers, propagated nulls."""
    graph = zoo()
    documents = Documents(graph, random.Random(f"zoo {part}"))
    for _ in range(-(-DOCUMENTS // 4)):
        made = documents.make()
        difference = await compared(graph, "web", made, Given(None, 1))
        assert difference is None, f"{difference}\n{made.text}\n{made.variables}"
