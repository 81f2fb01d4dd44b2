"""Access rules of fields: the same with a plan and with graphql-core, before any call."""

import math
from typing import Any

import pytest
import strawberry
from graphql import GraphQLSchema, parse

from bff.engine.answer import GraphQLResult, begin
from bff.engine.plans import Plans
from bff.gate.limits import LimitOptions
from bff.graph.context import Context, Viewer
from bff.graph.derive import derive
from bff.graph.rules import Access
from bff.graph.sdl import DIRECTIVES, sdl
from bff.graph.tags import computed
from bff.upstream.caller import Caller, Deadline
from schema.variants import EVERYONE as VARIANTS
from schema.variants import WEB

ASKED: list[str] = []


@strawberry.type
class Query:
    @computed(WEB, extensions=[Access()])
    def mine(self) -> str | None:
        ASKED.append("mine")
        return "mine"

    @computed(WEB, extensions=[Access(role="boss")])
    def salaries(self, source: int = 1) -> str | None:
        ASKED.append("salaries")
        return f"salaries {source}"

    @computed(WEB, extensions=[Access(scopes=("read", "list"))])
    async def scoped(self) -> str | None:
        ASKED.append("scoped")
        return "scoped"

    @computed(WEB, extensions=[Access(owner="id")])
    def own(self, id: strawberry.ID) -> str | None:
        ASKED.append("own")
        return f"own {id}"

    @computed(WEB)
    def open(self) -> str:
        return "open"


def schema() -> GraphQLSchema:
    """The schema of these tests in the variant web."""
    return derive(strawberry.Schema(query=Query)._schema, WEB, DIRECTIVES)


def context(viewer: Viewer | None, scopes: frozenset[str] = frozenset()) -> Context:
    """A request's."""
    sources: Any = None
    loaders: Any = None
    caller = Caller("request-1", "00-x", Deadline(math.inf, lambda: 0.0))
    return Context(VARIANTS[0], viewer, caller, sources, loaders, scopes)


async def ask(query: str, viewer: Viewer | None, scopes: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The result of the plan. Asserts that graphql-core's executor gives the same."""
    own = schema()
    operation = Plans(own, LimitOptions(), introspection=True).get(query)[0].operation(None)
    ASKED.clear()
    begun = begin(operation, {}, context(viewer, scopes))
    answer = begun if isinstance(begun, GraphQLResult) else await begun
    assert answer.by == "plan"
    asked = list(ASKED)
    from graphql import ExecutionResult, execute  # noqa: PLC0415 - used only for this comparison

    ASKED.clear()
    begun_there = execute(own, parse(query), context_value=context(viewer, scopes))
    there = begun_there if isinstance(begun_there, ExecutionResult) else await begun_there
    assert answer.payload["data"] == there.data
    assert sorted(map(str, (e["path"] for e in answer.payload.get("errors", ())))) == sorted(
        str(error.path) for error in there.errors or ()
    )
    assert asked == ASKED
    return dict(answer.payload)


BOSS = Viewer("1", frozenset({"boss"}))


@pytest.mark.parametrize(
    ("query", "viewer", "scopes", "code"),
    [
        ("{ mine }", None, (), "UNAUTHENTICATED"),
        ("{ mine }", Viewer("1"), (), None),
        ("{ salaries }", None, (), "UNAUTHENTICATED"),
        ("{ salaries }", Viewer("1", frozenset({"Boss", "bosses"})), (), "FORBIDDEN"),
        ("{ salaries(source: 2) }", BOSS, (), None),
        ("{ scoped }", BOSS, (), "FORBIDDEN"),
        ("{ scoped }", BOSS, ("read",), "FORBIDDEN"),
        ("{ scoped }", BOSS, ("read", "list", "more"), None),
        ('{ own(id: "1") }', BOSS, (), None),
        ('{ own(id: "2") }', BOSS, (), "FORBIDDEN"),
        ('{ own(id: "1") }', None, (), "UNAUTHENTICATED"),
    ],
)
async def test_a_rule_allows_only_matching_viewers(
    query: str, viewer: Viewer | None, scopes: tuple[str, ...], code: str | None
) -> None:
    """For others the resolver does not run."""
    answer = await ask(query, viewer, frozenset(scopes))
    codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
    assert codes == ([] if code is None else [code])
    assert bool(ASKED) is (code is None)


async def test_a_refused_field_does_not_affect_the_others() -> None:
    """The rest of the response is shown."""
    answer = await ask('{ open salaries a: own(id: "1") b: own(id: "2") }', Viewer("1"))
    assert answer["data"] == {"open": "open", "salaries": None, "a": "own 1", "b": None}


def test_rules_are_in_the_sdl() -> None:
    """As directives of their fields."""
    text = sdl(schema())
    assert "  mine: String @access\n" in text
    assert '  salaries(source: Int! = 1): String @access(role: "boss")\n' in text
    assert '  scoped: String @access(scopes: ["read", "list"])\n' in text
    assert '  own(id: ID!): String @access(owner: "id")\n' in text
    assert "  open: String!\n" in text
