"""Limits: the queries of real clients pass, abusive ones are refused, and the check is cheap."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from graphql import get_introspection_query

from bff.engine.plans import Plans
from bff.errors import DocumentError, TooComplex
from bff.gate.limits import LimitOptions
from bff.settings import load
from schema.app import app as shop_app
from tests.support.work import counted

SCHEMAS = shop_app.schemas
DEFAULTS = load(shop_app, {})
EVERYWHERE = ("web", "mobile", "admin")
FOR_CLIENTS = ("web", "mobile")


def check(variant: str, document: str, variables: Mapping[str, Any] | None = None, **limits: int) -> None:
    """All that stands between a document and its execution, with the variant's limits or others."""
    options = DEFAULTS.variant(variant).limits
    if limits:
        options = replace(options, **limits)
    plans = Plans(SCHEMAS[variant], options, introspection=True)
    prepared, _ = plans.get(document)
    for operation in prepared.operations.values():
        plans.check_cost(operation, variables or {})


def cost(variant: str, document: str, variables: Mapping[str, Any] | None = None) -> int:
    """What a document costs, as the refusal of the smallest limit tells."""
    if refusal := refused(variant, document, variables, cost=1):
        assert refusal.endswith(", allowed are 1.")
        return int(refusal.removeprefix("The document's cost: ").partition(",")[0])
    return 0


def refused(variant: str, document: str, variables: Mapping[str, Any] | None = None, **limits: int) -> str | None:
    """Why a document is refused as too complex; None where it is not."""
    try:
        check(variant, document, variables, **limits)
    except TooComplex as error:
        return error.message
    return None


@contextmanager
def soon(calls: int = 3_000_000) -> Iterator[None]:
    """What is inside takes little work, in function calls: generous, as an attack would take thousands of times as many."""
    with counted() as work:
        yield
    assert work.calls < calls


def test_a_refusal_is_a_well_formed_answer() -> None:
    """All limits have the same code and no status: the media type decides between 200 and 400."""
    with pytest.raises(TooComplex) as caught:
        check("web", "{ me { id } }", depth=1)
    assert (caught.value.code, caught.value.status) == ("QUERY_TOO_COMPLEX", None)


# Depth


def _deep(levels: int) -> str:
    """That many levels of fields on web: me, orders, user, orders, … and a leaf."""
    names = ["me", *(["orders(first: 1)", "user"] * levels)][: levels - 1]
    return "{ " + " { ".join(names) + " { id" + " }" * levels


@pytest.mark.parametrize("variant", ["web", "admin"])
def test_depth_is_bounded(variant: str) -> None:
    """Twelve levels pass. The thirteenth is refused, with the request's depth and the limit."""
    assert refused(variant, _deep(12)) is None
    assert refused(variant, _deep(13)) == "The document's depth: 13, allowed are 12."


def test_fragments_hide_no_depth() -> None:
    """A fragment is no level itself. Fields inside it count as if they stood in its place."""
    fragments = "fragment F on User { orders(first: 1) { ... on Order { user { ...G } } } } fragment G on User { id name }"
    assert refused("web", "{ me { ...F } }" + fragments, depth=4) is None
    assert refused("web", "{ me { ...F } }" + fragments, depth=3) == "The document's depth: 4, allowed are 3."


def test_every_operation_of_a_document_is_measured() -> None:
    """Not only the operation that is requested."""
    assert refused("web", "query A { me { id } } query B " + _deep(13)) == "The document's depth: 13, allowed are 12."


def test_typename_is_no_level() -> None:
    """Clients add it to every selection set."""
    assert refused("web", "{ me { __typename orders { id __typename } } }", depth=3) is None
    assert refused("web", "{ __typename }", depth=1) is None


@pytest.mark.parametrize("variant", EVERYWHERE)
@pytest.mark.parametrize("flag", [True, False])
def test_the_introspection_of_tools_passes(variant: str, flag: bool) -> None:
    """GraphiQL's own query with all options. It is deeper than other queries, and is counted separately."""
    options = inspect.signature(get_introspection_query).parameters
    document = get_introspection_query(**{name: flag for name, option in options.items() if option.default in {True, False}})
    check(variant, document)


def test_introspection_is_bounded_too() -> None:
    """Tools need at most twenty levels of types within types."""

    def of(levels: int) -> str:
        inner = "ofType { " * (levels - 4) + "name" + " }" * (levels - 4)
        return '{ __type(name: "Query") { fields { type { ' + inner + " } } } }"

    assert refused("web", of(20)) is None
    assert refused("web", of(21)) == "The document's depth of introspection: 21, allowed are 20."


@pytest.mark.parametrize("list_", ["fields { type", "possibleTypes { fields { type", "interfaces { fields { type"])
def test_lists_within_lists_of_introspection_are_refused(list_: str) -> None:
    """Each would multiply the answer by the size of the schema."""
    levels = 4
    closing = " }" * (list_.count("{") + 1) * levels
    with pytest.raises(DocumentError):
        check("admin", "{ __schema { types { " + (list_ + " { ") * levels + "name" + closing + " } } }")


# Aliases


def test_aliases_are_bounded() -> None:
    """Thirty pass. One more is refused, with the number and the limit."""
    many = " ".join(f"a{number}: __typename" for number in range(30))
    assert refused("web", "{ " + many + " }") is None
    assert refused("web", "{ " + many + " b: __typename }") == "The document's aliases: 31, allowed are 30."


def test_aliases_are_counted_through_fragments() -> None:
    """Once for each spread of the fragment, since that is how often they are executed."""
    fragment = " fragment F on Product { a: name b: name }"
    document = '{ product(id: "1") { ...F } x: product(id: "2") { ...F ... on Product { c: name } } }' + fragment
    assert refused("web", document, aliases=6) is None
    assert refused("web", document, aliases=5) == "The document's aliases: 6, allowed are 5."


def test_aliases_of_nested_fragments_are_counted() -> None:
    """Also 2 to the 60th power of them, and fast."""
    fragments = "".join(f" fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
    with soon():
        message = refused("web", "{ ...F0 }" + fragments + " fragment F60 on Query { a: __typename }")
    assert message == f"The document's aliases: {2**60}, allowed are 30."


# Tokens


def test_tokens_are_bounded() -> None:
    """The parser stops at the limit. The message names what is counted and the limit."""
    message = refused("web", "{ " + "__typename " * 2000 + "}")
    assert message == "The document's tokens: more than 2000, allowed are 2000."


@pytest.mark.parametrize(
    ("document", "tokens"),
    [("{ a: __typename }", 5), ("{,,, a:__typename\ufeff\n}", 5), ("{ # one\n # two\n a: __typename }", 7)],
)
def test_the_token_limit_is_exact(document: str, tokens: int) -> None:
    """Exactly that many tokens pass. Names, punctuation and comments count, commas and white space don't."""
    assert refused("web", document, tokens=tokens) is None
    assert refused("web", document, tokens=tokens - 1) is not None


def test_a_huge_document_is_refused_at_once() -> None:
    """A megabyte of braces is not read to its end."""
    for document in (
        "{a" * 500_000,
        "{ a(b: " + "[" * 1_000_000,
        "query(" + "$a:Int " * 300_000,
        '{ a(b: "' + "x" * 10**6 + '") }',
    ):
        with soon():
            try:
                check("web", document)
            except (TooComplex, DocumentError):
                continue
        pytest.fail("passed")


@pytest.mark.parametrize(
    "document",
    [
        "{ " + "... { " * 660 + "__typename" + " }" * 661,
        "{ ...F0 } "
        + " ".join(f"fragment F{n} on Query {{ {'... { ' * 150} ...F{n + 1} {' }' * 150} }}" for n in range(4))
        + " fragment F4 on Query { __typename }",
        "{ me(a: " + "[" * 900 + "]" * 900 + ") { id } }",
        "query ($a: " + "[" * 900 + "Int" + "]" * 900 + ") { me { id } }",
    ],
)
def test_nesting_beyond_python_s_stack_is_refused(document: str) -> None:
    """Fragments and lists that are nested too deeply to be walked are refused, which is no internal error."""
    with pytest.raises((TooComplex, DocumentError)):
        check("web", document)


# Fragments


@pytest.mark.parametrize(
    "fragments",
    [
        "fragment A on Query { ...A }",
        "fragment A on Query { ...B } fragment B on Query { ...A }",
        "fragment A on Query { me { ...B } } fragment B on User { orders { user { ...B } } }",
        "fragment A on Query { ...B ...C } fragment B on Query { ...C } fragment C on Query { ...A }",
    ],
)
def test_a_cycle_of_fragments_is_refused(fragments: str) -> None:
    """As not valid, and without an endless loop."""
    with soon(), pytest.raises(DocumentError) as caught:
        check("web", "{ ...A } " + fragments)
    assert caught.value.code == "GRAPHQL_VALIDATION_FAILED"


def test_an_unknown_fragment_is_not_valid() -> None:
    """The limits ignore it, and validation refuses it."""
    with pytest.raises(DocumentError):
        check("web", "{ ...Nowhere }")


@pytest.mark.parametrize("spreads", [2, 3])
def test_a_bomb_of_fragments_is_measured_fast(spreads: int) -> None:
    """Each spreads the next several times, fifty levels deep: a walk of every path would not end."""
    fragments = "".join(f" fragment F{n} on User {{ name {f'...F{n + 1} ' * spreads} }}" for n in range(50))
    with soon():
        check("web", "{ me { ...F0 } }" + fragments + " fragment F50 on User { id }")


def test_a_bomb_of_fields_within_fragments_is_refused_fast() -> None:
    """Each level is twice in the next, with fields between. The depth limit refuses it before anything is counted twice."""
    fragments = "".join(
        f" fragment F{n} on User {{ a: orders {{ user {{ ...F{n + 1} }} }} orders {{ user {{ ...F{n + 1} }} }} }}"
        for n in range(25)
    )
    with soon():
        message = refused("web", "{ me { ...F0 } }" + fragments + " fragment F25 on User { id }")
    assert message == "The document's depth: 52, allowed are 12."


def test_the_same_field_many_times_is_one_field() -> None:
    """Repeated selections are merged in execution, and so they are in the cost."""
    once = cost("web", "{ me { orders { items { product { id } } } } }")
    with soon():
        assert cost("web", "{ " + "me { orders { items { product { id } } } } " * 50 + " }") == once


# Cost


@pytest.mark.parametrize(
    ("variant", "document", "expected"),
    [
        ("web", "{ __typename }", 0),
        ("web", "{ __schema { types { name } } }", 0),
        ("web", "{ me { id } }", 1),
        ("web", '{ user(id: "1") { name } product(id: "1") { name } }', 2),
        ("web", '{ a: product(id: "1") { name } b: product(id: "2") { name } }', 2),
        ("web", "{ products { totalCount } }", 0),
        ("web", "{ products { nodes { id } } }", 20),
        ("web", "{ products { edges { cursor } } }", 0),
        ("web", "{ products { edges { node { id } } } }", 20),
        ("web", "{ products(first: 7) { nodes { id } } }", 7),
        ("web", "{ products(first: null) { nodes { id } } }", 20),
        ("web", "{ products(first: 7) { nodes { id } edges { node { id } } } }", 14),
        ("web", "{ me { orders { id } } }", 1 + 20),
        ("web", "{ me { orders(first: 100) { id } } }", 1 + 100),
        ("web", "{ me { orders(first: 10) { items { quantity } } } }", 1 + 10),
        ("web", "{ me { orders(first: 10) { items { product { id } } } } }", 1 + 10 + 10 * 3),
        ("web", "{ me { orders(first: 10) { user { id } } } }", 1 + 10 + 10),
        ("mobile", "{ home { user { id } recentOrders { id } products { id } } }", 1 + 3 + 10),
        ("mobile", "{ home { recentOrders { items { product { id } } } } }", 3 + 3 * 3),
        ("admin", "{ users(first: 5) { nodes { orders(first: 4) { id } } } }", 5 + 5 * 4),
        ("admin", "{ sources { name instances { number } } }", 0),
        ("web", 'mutation { cancelOrder(id: "1") { order { id } userErrors { code } } }', 11),
        ("web", 'mutation { cancelOrder(id: "1") { order { user { orders(first: 9) { id } } } } }', 10 + 1 + 1 + 9),
    ],
)
def test_cost_is_the_estimated_number_of_objects(variant: str, document: str, expected: int) -> None:
    """An object with an id costs one, and a list its estimated length. An object inside an object costs nothing."""
    if expected == 1:  # the smallest limit lets it pass
        assert refused(variant, document, cost=1) is None
    else:
        assert cost(variant, document) == expected


@pytest.mark.parametrize(
    "document",
    [
        "{ ...F } fragment F on Query { products(first: 9) { ...G } } fragment G on ProductConnection { nodes { id } }",
        "{ ... on Query { ... { products(first: 9) { ... on ProductConnection { nodes { id } } } } } }",
        "{ products(first: 9) { nodes { id } } ...F } fragment F on Query { products(first: 9) { nodes { name } } }",
        "query A { ...F } fragment F on Query { ...G ...G } fragment G on Query { products(first: 9) { nodes { id } } }",
    ],
)
def test_cost_does_not_depend_on_how_a_query_is_written(document: str) -> None:
    """With or without fragments, and with the same field in several places."""
    assert cost("web", document) == 9


_FIRST = "products(first: $n) { nodes { id } }"


@pytest.mark.parametrize(
    ("head", "variables", "expected"),
    [
        ("($n: Int)", {"n": 50}, 50),
        ("($n: Int)", {"n": 50.0}, 50),
        ("($n: Int)", {"n": None}, 20),
        ("($n: Int)", {}, 20),
        ("($n: Int = 70)", {}, 70),
        ("($n: Int = 70)", {"n": 50}, 50),
        ("($n: Int = 70)", {"n": 50.0}, 50),
        ("($n: Int = 70)", {"n": None}, 20),
        ("($n: Int = null)", {}, 20),
        ("($n: Int)", {"n": 10**30}, 100),
        ("($n: Int)", {"n": 1e30}, 100),
        ("($n: Int = 2000000000)", {"n": 30}, 30),
        ("($n: Int)", {"n": -5}, 0),
        ("($n: Int)", {"n": float("inf")}, 20),
        ("($n: Int)", {"n": float("nan")}, 20),
        ("($n: Int)", {"n": "100"}, 20),
        ("($n: Int)", {"n": [100]}, 20),
        ("($n: Int)", {"other": 100}, 20),
    ],
)
def test_cost_depends_on_the_variables(head: str, variables: dict[str, Any], expected: int) -> None:
    """The variable's value, its default, or the argument's default. A value that is refused later has any bounded cost."""
    assert cost("web", f"query {head} {{ {_FIRST} }}", variables) == expected


def test_a_float_of_a_whole_number_is_an_int() -> None:
    """JSON's 100.0 is a valid Int. It once counted as the default, and let five times as much through at each level."""
    document = "query ($n: Int) { orders(first: $n) { nodes { user { orders(first: $n) { items { product { id } } } } } } }"
    as_int, as_float = (refused("admin", document, {"n": number}) for number in (100, 100.0))
    assert as_int == as_float == "The document's cost: 40200, allowed are 20000."


def test_variables_inside_fragments_count() -> None:
    """They are the operation's variables, also in a fragment."""
    document = f"query ($n: Int) {{ ...F }} fragment F on Query {{ {_FIRST} }}"
    assert cost("web", document, {"n": 33}) == 33


def test_a_refusal_names_the_value_and_the_limit() -> None:
    """So that a client's author can correct the document."""
    document = "{ me { orders(first: 100) { user { orders(first: 100) { id } } } } }"
    assert refused("web", document) == "The document's cost: 10201, allowed are 5000."


# What screens need


_ITEMS = "items { quantity product { id name price imageUrl } }"

_SCREENS = {
    "web": [
        "{ products(first: 100) { CONNECTION { id name description price imageUrl } } }",
        "{ me { id orders(first: 100) { id status ITEMS } } }",
        "{ me { orders(first: 100) { id user { id orders { id status total } } } } }",
        "{ me { orders(first: 100) { user { name } ITEMS } } }",
        "{ me { a: orders(first: 100, status: PAID) { ITEMS } b: orders(first: 100) { ITEMS } } }",
        "{ me { id orders { id ITEMS user { id } } } products(first: 100) { CONNECTION { id name } } }",
    ],
    "mobile": [
        "{ products(first: 100) { CONNECTION { id name price imageUrl } } }",
        "{ me { id orders(first: 100) { id itemCount ITEMS } } }",
        "{ home { user { orders { ITEMS } } recentOrders { ITEMS } products { id } } me { orders(first: 100) { ITEMS } } }",
        "{ me { id orders { id ITEMS } } products(first: 100) { CONNECTION { id name } } }",
    ],
    "admin": [
        "{ users(first: 100) { CONNECTION { id orders { id ITEMS } } } }",
        "{ users(first: 100) { CONNECTION { id orders { id user { id name } } } } }",
        "{ orders(first: 100) { CONNECTION { id user { id orders { id status } } ITEMS } } }",
        "{ orders(first: 100) { CONNECTION { id user { id orders { id ITEMS } } } } }",
        "{ products(first: 100) { CONNECTION { id sku stock updatedAt } } }",
        "{ me { orders(first: 100) { ITEMS user { id orders { id } } } } }",
    ],
}


def _screens() -> Iterator[Any]:
    """`first: 100` with two levels of relations below it, at their defaults; connections by nodes and by edges."""
    for variant, screens in _SCREENS.items():
        for number, screen in enumerate(screens):
            document = screen.replace("ITEMS", _ITEMS)
            yield pytest.param(variant, document.replace("CONNECTION", "totalCount nodes"), id=f"{variant}-{number}-nodes")
            if "CONNECTION" in document:
                by_edges = document.replace("CONNECTION {", "pageInfo { endCursor } edges { cursor node {") + " }"
                yield pytest.param(variant, by_edges, id=f"{variant}-{number}-edges")


@pytest.mark.parametrize(("variant", "document"), list(_screens()))
def test_typical_queries_pass(variant: str, document: str) -> None:
    """`first: 100` with two levels of relations below it, at their defaults, passes in every variant."""
    check(variant, document)


@pytest.mark.parametrize(("variant", "document"), list(_screens()))
def test_typical_queries_pass_with_variables(variant: str, document: str) -> None:
    """The same with the hundred as a variable, and with `__typename` in every selection set."""
    document = document.replace("first: 100", "first: $n").replace("{ ", "{ __typename ")
    check(variant, "query ($n: Int) " + document, {"n": 100})


@pytest.mark.parametrize(
    ("variant", "document"),
    [
        ("web", "{ me { orders(first: 100) { user { orders(first: 100) { id } } } } }"),
        ("web", "{ me { orders { user { orders { user { orders { id } } } } } } }"),
        ("web", "{ me { orders(first: 100) { user { orders(first: 100) { user { orders(first: 100) { id } } } } } } }"),
        ("admin", "{ users(first: 100) { nodes { orders(first: 100) { items { product { id } } } } } }"),
        ("admin", "{ orders(first: 100) { nodes { user { orders(first: 100) { items { product { id } } } } } } }"),
        ("admin", "{ users(first: 100) { nodes { orders(first: 100) { user { orders(first: 100) { id } } } } } }"),
        ("admin", "{ users { nodes { orders { user { orders { user { orders { id } } } } } } } }"),
    ],
)
def test_nested_long_lists_are_refused(variant: str, document: str) -> None:
    """A hundred of a hundred, and a hundred of those."""
    message = refused(variant, document)
    assert message is not None
    assert message.startswith("The document's cost: ")


@pytest.mark.parametrize(("variant", "cost_"), [("web", 5000), ("mobile", 5000), ("admin", 20_000)])
def test_the_defaults_are_those_of_the_contract(variant: str, cost_: int) -> None:
    """Depth 12, cost 5000 (admin 20000), aliases 30, tokens 2000, 100 KiB, batches of 10."""
    limits = DEFAULTS.variant(variant).limits
    assert limits == LimitOptions(depth=12, cost=cost_, aliases=30, tokens=2000, body_bytes=102_400, batch=10)
