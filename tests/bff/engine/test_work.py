"""The upstream work of an operation: no run takes more calls and waves than its plan says."""

import asyncio
import math
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from graphql import parse, validate

from bff.engine.answer import GraphQLResult, begin
from bff.engine.arguments import InvalidVariables
from bff.engine.operation import Operation
from bff.engine.plans import Plans
from bff.engine.work import Asked
from bff.errors import TooComplex
from bff.gate.limits import LimitOptions
from bff.graph.context import Context, Viewer
from bff.graph.cursors import cursor_of
from bff.graph.loaders import Loaders
from bff.graph.pages import most_calls
from bff.graph.rules import visible_records
from bff.graph.sources import Sources
from bff.upstream import loads
from bff.upstream.caller import Caller, Deadline, Identity
from bff.upstream.loads import Page
from bff.upstream.traffic.call import Call, Reply
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from schema.rules import RULES
from tests.bff.engine.documents import Document, Documents
from tests.support.shop import VARIANT, order, product, schemas, user

DOCUMENTS = int(os.environ.get("WORK_DOCUMENTS", "50"))
MAKE = {"users": user, "products": product}
WIDE = LimitOptions(cost=10**6, depth=100, aliases=10_000, repeats=10_000, fields=100_000, root_fields=10_000)


@dataclass
class Services:
    """Services that have every object, and lists that are as long as they may be.

    A call takes a random number of the event loop's iterations. With `in_rounds` it is answered when nothing else can go on:
    then `rounds` counts the waves.
    """

    source: random.Random
    in_rounds: bool
    calls: int = 0
    rounds: int = 0
    waiting: list["asyncio.Future[None]"] = field(default_factory=list)

    async def answer(self, name: str, call: Call) -> Reply:
        """The reply of the service of that name."""
        self.calls += 1
        if self.in_rounds:
            future = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            await future
        else:
            for _ in range(self.source.choice((0, 1, 3, 9))):
                await asyncio.sleep(0)
        return Reply(200, self._value(name, call))

    def _value(self, name: str, call: Call) -> Any:
        keyed = call.keyed
        if keyed is None:
            limit = int(dict(parse_qsl(urlsplit(call.target).query))["limit"])
            return Page([self._record(name, self.source.randint(1, 30)) for _ in range(limit)], "c9", 1000)
        if isinstance(keyed.family, tuple):
            first = keyed.family[1]
            return {key: [self._order(self.source.randint(1, 30), key) for _ in range(first)] for key in keyed.keys}
        return {key: self._record(name, key) for key in keyed.keys if self.source.random() < 0.9}

    def _record(self, name: str, id: int) -> Any:
        return self._order(id, self.source.randint(1, 30)) if name == "orders" else MAKE[name](id)

    def _order(self, id: int, owner: int) -> Any:
        return order(id, owner, [(self.source.randint(1, 30), 1, 2.5) for _ in range(3)])

    async def run(self, running: "asyncio.Task[Any]") -> None:
        """Answer round by round until the operation has ended."""
        while not running.done():
            for _ in range(50):
                await asyncio.sleep(0)
            waiting, self.waiting = self.waiting, []
            self.rounds += bool(waiting)
            for each in waiting:
                if not each.done():
                    each.set_result(None)


class Transport:
    """One service of `Services`."""

    def __init__(self, name: str, services: Services) -> None:
        self._name = name
        self._services = services

    async def __call__(self, call: Call) -> Reply:
        return await self._services.answer(self._name, call)

    def note_unreadable(self, detail: str) -> None:
        """Its objects are always readable."""


def context_of(variant: str, services: Services, sub: str | None) -> Context:
    """The context of an operation, with the real sources."""
    viewer = None if sub is None else Viewer(sub, frozenset({"admin"}))
    caller = Caller(
        "1", "00-x", Deadline(math.inf, lambda: 0.0), None if sub is None else Identity(sub, "Bearer x"), budget=None
    )
    bound: list[Any] = [
        kind(Transport(kind.name, services), forward_identity=False)  # type: ignore[arg-type] # what no run needs is left out
        for kind in (Users, Orders, Products)
    ]
    sources = Sources(bound)
    visible = partial(visible_records, RULES, VARIANT[variant], viewer)
    return Context(VARIANT[variant], viewer, caller, sources, Loaders(sources, caller, visible))


def asked_by(plans: Plans, operation: Operation, variables: dict[str, Any]) -> Sequence[Sequence[Asked]] | None:
    """The waves that the plan tells; None if it can't tell all, because there are resolvers with calls of their own."""
    waves = plans.explain(operation, variables).waves
    return None if any(asked.source is None for wave in waves for asked in wave) else waves


async def ran(
    made: Document, variant: str, plans: Plans, seed: int, *, in_rounds: bool, sub: str | None = "1"
) -> tuple[Services, int, int] | None:
    """The services after a run, with the most calls and waves by the plan; None if the plan can't tell."""
    operation = plans.get(made.text)[0].operation(None)
    try:
        waves = asked_by(plans, operation, made.variables)
    except InvalidVariables:
        return None
    if waves is None:
        return None
    services = Services(random.Random(seed), in_rounds)
    context = context_of(variant, services, sub)
    result = begin(operation, made.variables, context)
    if not isinstance(result, GraphQLResult):
        running = asyncio.ensure_future(result)
        if in_rounds:
            await services.run(running)
        await running
    return services, sum(asked.calls or 0 for wave in waves for asked in wave), len(waves)


@pytest.mark.parametrize("keys_a_call", [1, 3, 200])
@pytest.mark.parametrize("largest", [10, 200])
@pytest.mark.parametrize("variant", ["web", "mobile", "admin"])
async def test_no_run_takes_more_than_its_plan_says(
    variant: str, keys_a_call: int, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether services take many keys in a call or one, and whichever reply comes first."""
    monkeypatch.setattr(loads, "MOST_CALLS", 10_000)  # otherwise the calls of a wave have to wait for each other
    for read in (Users.by_id, Orders.by_id, Orders.of_user, Products.by_id):
        monkeypatch.setattr(read, "keys_a_call", keys_a_call)
    for pages in (Orders.page, Products.page):
        monkeypatch.setattr(pages, "largest", largest)
    schema = schemas()[variant]
    plans = Plans(schema, WIDE, introspection=True)
    documents = Documents(schema, random.Random(f"{variant} {keys_a_call} {largest}"))
    known = with_calls = 0
    for seed in range(DOCUMENTS):
        made = documents.make()
        assert not validate(schema, parse(made.text))
        for in_rounds in (False, True):
            found = await ran(made, variant, plans, seed, in_rounds=in_rounds, sub=(None, "1", "2")[seed % 3])
            if found is None:
                continue
            services, calls, waves = found
            known += 1
            with_calls += services.calls > 0
            assert services.calls <= calls, f"{made.text}\n{made.variables}\nseed {seed}"
            assert services.rounds <= waves, f"{made.text}\n{made.variables}\nseed {seed}"
    assert known > DOCUMENTS / 2
    assert with_calls > DOCUMENTS / 4


@pytest.mark.parametrize(
    ("document", "variant", "waves"),
    [
        ("{ me { orders(first: 10) { items { product { id } } } } }", "web", 2),
        ("{ orders(first: 5) { nodes { user { name } items { product { name } } } } }", "admin", 2),
        ("{ orders(first: 5) { nodes { user { orders { items { product { name } } } } } } }", "admin", 3),
        ("{ __typename }", "web", 0),
    ],
)
async def test_a_run_takes_the_waves_that_its_plan_says(document: str, variant: str, waves: int) -> None:
    """Not only at most."""
    plans = Plans(schemas()[variant], WIDE, introspection=True)
    found = await ran(Document(document), variant, plans, 1, in_rounds=True)
    assert found is not None
    services, _, told = found
    assert (services.rounds, told) == (waves, waves)


async def test_keys_that_arrive_at_different_times_need_a_call_each_time() -> None:
    """The products of the page's orders and of the single order: one call for both, or two if their orders come apart."""
    document = """{
        orders(first: 2) { nodes { items { product { name } } } }
        order(id: "1") { items { product { name } } }
    }"""
    plans = Plans(schemas()["admin"], WIDE, introspection=True)
    calls = set()
    for seed in range(40):
        found = await ran(Document(document), "admin", plans, seed, in_rounds=False)
        assert found is not None
        services, told, _ = found
        assert told == 4
        calls.add(services.calls)
    assert max(calls) == 4


def test_the_calls_for_one_page_follow_each_other() -> None:
    """Several if the service's pages are smaller, or if the cursor is far inside a page."""
    assert most_calls(200, 100, None) == 1
    assert most_calls(10, 100, None) == 10
    assert most_calls(200, 100, cursor_of("c", 100)) == 1
    assert most_calls(200, 100, cursor_of("c", 150)) == 2
    assert most_calls(200, 0, None) == 1
    assert most_calls(200, 100, "no cursor") == 1


# The limits

PAGE = "{ me { orders(first: 10) { items { product { id } } } } }"


def check(limits: LimitOptions, document: str, variables: dict[str, Any] | None = None) -> Any:
    """Check a document's calls and waves in web."""
    plans = Plans(schemas()["web"], limits, introspection=True)
    return plans.check_work(plans.get(document)[0].operation(None), variables or {})


def test_an_operation_with_too_many_calls_is_refused() -> None:
    """With the limit's name, the most calls and the limit; one with as many as allowed is not."""
    assert check(LimitOptions(calls=3, waves=2), PAGE)
    with pytest.raises(TooComplex, match=r"upstream calls: 3, allowed are 2\."):
        check(LimitOptions(calls=2), PAGE)
    with pytest.raises(TooComplex, match=r"waves of upstream calls: 2, allowed are 1\."):
        check(LimitOptions(waves=1), PAGE)


def test_the_calls_depend_on_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """If list lengths do. What was found for one request says nothing about the next."""
    monkeypatch.setattr(Products.by_id, "keys_a_call", 1)
    query = "query ($n: Int) { me { orders(first: $n) { items { product { id } } } } }"
    plans = Plans(schemas()["web"], LimitOptions(calls=10), introspection=True)
    operation = plans.get(query)[0].operation(None)
    for _ in range(3):
        assert plans.check_work(operation, {"n": 2})
        with pytest.raises(TooComplex, match="upstream calls: 17,"):
            plans.check_work(operation, {"n": 5})


def test_the_work_of_a_plan_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it depends on no variable, as the cost."""
    plans = Plans(schemas()["web"], LimitOptions(calls=10), introspection=True)
    operation = plans.get(PAGE)[0].operation(None)
    plans.check_work(operation, {})
    plans.check_work(operation, {})  # from now on the plan is kept
    monkeypatch.setattr("bff.engine.plans.WorkWalk", None)
    assert plans.check_work(operation, {})


def test_an_operation_without_a_plan_has_a_wave_for_each_level() -> None:
    """Its calls are counted while it runs."""
    query = "query ($a: Boolean = true) { me @include(if: $a) { orders { id } } }"
    assert check(LimitOptions(waves=3, calls=1), query, {"a": None})
    with pytest.raises(TooComplex, match="waves of upstream calls: 3, allowed are 2"):
        check(LimitOptions(waves=2), query, {"a": None})


def test_invalid_variables_are_left_to_the_run() -> None:
    """It reports them as the client's mistake."""
    assert check(LimitOptions(calls=1), "query ($id: ID!) { user(id: $id) { id } }") is None


def test_an_explanation_shows_the_limits() -> None:
    """Beside the calls, and whether they are exceeded."""
    plans = Plans(schemas()["web"], LimitOptions(calls=2, waves=2), introspection=True)
    explanation = plans.explain(plans.get(PAGE)[0].operation(None), {})
    assert "allowed are 2 calls and 2 waves: it is refused\n" in explanation.as_text()
    assert (explanation.as_json()["callsLimit"], explanation.as_json()["wavesLimit"]) == (2, 2)
    plans = Plans(schemas()["web"], LimitOptions(calls=3), introspection=True)
    assert "allowed are 3 calls\n" in plans.explain(plans.get(PAGE)[0].operation(None), {}).as_text()
