"""Documents that are made to be expensive: their memory, the time for which they block the event loop, and refusals."""

import asyncio
import gc
import json
from collections import Counter
from typing import Any

import pytest

from bff.engine import operation as operations
from bff.engine import plans as plans_module
from bff.engine import prepare
from bff.engine.plans import Plans
from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway

SWITCHES = ("a", "b", "c", "d")


def unfolding(number: int, width: int = 5) -> str:
    """A small document whose fragments expand to a few thousand fields, with four switches, by number."""
    declared = ", ".join(f"${name}: Boolean!" for name in SWITCHES)
    switched = " ".join(f"{name}: name @skip(if: ${name})" for name in SWITCHES)

    def lists(inner: str) -> str:
        return " ".join(f"o{n}: orders(first: 1) {{ user {{ ...{inner} }} }}" for n in range(width))

    return (
        f"query Q{number}({declared}) {{ me {{ {switched} ...A }} }}"
        f" fragment A on User {{ {lists('B')} }} fragment B on User {{ {' '.join(['name', 'orders { id total }'])} }}"
    )


def plans_of(gateway: RunningGateway, variant: str = "web") -> Plans:
    """The variant's documents."""
    return gateway.app.served.endpoints[variant].plans


def code_of(answer: dict[str, Any]) -> str:
    """The first error's code."""
    code: str = answer["errors"][0]["extensions"]["code"]
    return code


def test_the_plans_of_switched_documents_are_bounded(start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents with sixteen plans each: the cache stays within its limit in bytes."""
    monkeypatch.setattr(plans_module.Plans.__init__, "__kwdefaults__", {**_kwdefaults(), "max_bytes": 512 * 1024})
    gateway = start_gateway(BFF_RATE__ENABLED="false")
    plans = plans_of(gateway)
    for number in range(3):
        for answer in range(16):
            variables = {name: bool(answer >> at & 1) for at, name in enumerate(SWITCHES)}
            body = {"query": unfolding(number), "variables": variables}
            for _ in range(2):
                assert gateway.post("web", body).json()["data"] == {"me": None}
            assert plans.weight <= 512 * 1024


def _kwdefaults() -> dict[str, Any]:
    defaults: dict[str, Any] = plans_module.Plans.__init__.__kwdefaults__ or {}
    return defaults


def plans_in_memory() -> int:
    """How many compiled plans this process holds."""
    gc.collect()
    return sum(type(each) is operations.Planned for each in gc.get_objects())


def test_what_is_asked_once_leaves_no_plan_behind(gateway: RunningGateway) -> None:
    """Documents that never come again: their trees are kept, and nothing that was compiled of them."""
    before = plans_in_memory()  # gateways that other tests share may have some
    for number in range(15):
        gateway.ask("web", unfolding(number), dict.fromkeys(SWITCHES, True))
    assert plans_in_memory() <= before


def test_a_fragment_that_is_spread_in_many_places_is_compiled_once(gateway: RunningGateway) -> None:
    """A plan's size depends on the document's size, not on its expansion."""
    text = unfolding(0)
    variables = dict.fromkeys(SWITCHES, False)
    for _ in range(2):
        gateway.ask("web", text, variables)
    known = plans_of(gateway).known(text)
    assert known is not None
    operation = known.operation(None)
    planned = operation.planned(operation.variables.coerce(variables))
    assert isinstance(planned, operations.Planned)
    assert planned.plan.size == 1 + 4 + 5 * 2 + 4  # me and its names; five lists and their users; the last fragment


def test_an_explosion_of_fragments_is_refused_before_it_is_validated(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fields of expanded fragments are counted in one walk. The refusal names the number and the limit."""
    monkeypatch.setattr(prepare, "validate", lambda *_, **__: pytest.fail("validated"))
    levels = "".join(
        f" fragment F{n} on User {{ name ...{'G' if n else 'H'}{n} ... on User {{ ...F{n + 1} }} }}"
        f" fragment {'G' if n else 'H'}{n} on User {{ tier ...F{n + 1} }}"
        for n in range(12)
    )
    answer = gateway.ask("web", "{ me { ...F0 } }" + levels + " fragment F12 on User { id }")
    assert code_of(answer) == "QUERY_TOO_COMPLEX"
    assert answer["errors"][0]["message"].endswith("allowed are 2000.")


def test_many_operations_in_one_document_are_refused(gateway: RunningGateway) -> None:
    """Each would be measured and could be compiled."""
    fifty = " ".join(f"query Q{number} {{ __typename }}" for number in range(50))
    body = {"query": fifty, "operationName": "Q7"}
    assert gateway.post("web", body).json() == {"data": {"__typename": "Query"}}
    answer = gateway.ask("web", fifty + " query R { __typename }")
    assert code_of(answer) == "QUERY_TOO_COMPLEX"
    assert answer["errors"][0]["message"] == "The document's operations: 51, allowed are 50."


def test_work_grows_with_the_document_and_not_with_its_square(
    monkeypatch: pytest.MonkeyPatch, gateway: RunningGateway
) -> None:
    """Twenty operations cost a few walks of the document, and not twenty."""
    seen: Counter[str] = Counter()
    real = prepare.selections_in

    def counted(definitions: Any) -> Any:
        for each in real(definitions):
            seen["selections"] += 1
            yield each

    monkeypatch.setattr(prepare, "selections_in", counted)
    fragment = " fragment F on Query { " + " ".join(["__typename me { id name email }"] * 8) + " }"
    text = " ".join(f"query Q{number} {{ ...F __typename }}" for number in range(20)) + fragment
    gateway.post("web", {"query": text, "operationName": "Q1"})
    assert 0 < seen["selections"] < 6 * (20 * 2 + 8 * 5)


def test_comparisons_of_fragments_are_bounded(gateway: RunningGateway) -> None:
    """A hundred in one selection set make ten thousand pairs. The check stops at the limit, and the document is refused."""
    spreads = " ".join(f"...F{number}" for number in range(100))
    fragments = " ".join(f"fragment F{number} on User {{ id name email tier }}" for number in range(100))
    answer = gateway.ask("web", f"{{ me {{ {spreads} }} }} {fragments}")
    assert code_of(answer) == "QUERY_TOO_COMPLEX"
    assert "comparisons of fields" in answer["errors"][0]["message"]


def test_very_many_lines_are_refused_without_parsing(gateway: RunningGateway) -> None:
    """For the location of an error, all lines before it are counted, for each error again."""
    unknown = " ".join(f"x{number}" for number in range(20))
    answer = gateway.ask("web", "\n" * 40_000 + f"{{ {unknown} }}")
    assert code_of(answer) == "QUERY_TOO_COMPLEX"
    answer = gateway.ask("web", "\n" * 3_000 + f"{{ {unknown} }}")
    assert code_of(answer) == "GRAPHQL_VALIDATION_FAILED"
    assert answer["errors"][0]["locations"] == [{"line": 3001, "column": 3}]


def test_parts_of_a_batch_take_turns(monkeypatch: pytest.MonkeyPatch, start_gateway: StartGateway) -> None:
    """Ten new documents in one request: the event loop runs between any two stages of them."""
    gateway = start_gateway(BFF_RATE__ENABLED="false")
    pace = plans_of(gateway).pace
    now = 0.0

    def clock() -> float:  # by which each stretch of work takes too long
        nonlocal now
        now += 1
        return now

    monkeypatch.setattr(pace, "_clock", clock)
    turn = 0
    stages: Counter[int] = Counter()
    real = prepare.validate  # type: ignore[attr-defined]  # where the name is looked up

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal turn
        if not stages[turn]:
            asyncio.get_running_loop().call_soon(next_turn)
        stages[turn] += 1
        return real(*args, **options)

    def next_turn() -> None:
        nonlocal turn
        turn += 1

    monkeypatch.setattr(prepare, "validate", counted)
    batch = [{"query": f"{{ a{number}: __typename }}" + " " * 300} for number in range(10)]
    answers = gateway.post("web", batch).json()
    assert [list(each["data"]) for each in answers] == [[f"a{number}"] for number in range(10)]
    assert stages.total() == 20
    assert max(stages.values()) == 1


DEEP = {
    "selections": "{a" * 5000 + "}" * 5000,
    "lists": "{ product(id: " + "[" * 900 + "]" * 900 + ") { id } }",
    "objects": "{ product(id: " + "{a:" * 600 + "1" + "}" * 600 + ") { id } }",
    "types of variables": "query ($a: " + "[" * 900 + "ID" + "]" * 900 + ") { product(id: $a) { id } }",
    "defaults": "query ($a: ID = " + "[" * 900 + "]" * 900 + ") { product(id: $a) { id } }",
    "inline fragments": "{ " + "... { " * 500 + "me { id } " + "} " * 501,
    "directives": "{ me @skip(if: " + "[" * 900 + "]" * 900 + ") { id } }",
    "fragments": "{ me { ...F0 } }"
    + "".join(f" fragment F{n} on User {{ ...F{n + 1} }}" for n in range(260))
    + " fragment F260 on User { id }",
}


@pytest.mark.parametrize("document", DEEP.values(), ids=DEEP.keys())
def test_documents_nested_too_deeply_to_be_parsed_are_refused(gateway: RunningGateway, document: str) -> None:
    """Selections, values, types and fragments."""
    assert code_of(gateway.ask("web", document)) == "QUERY_TOO_COMPLEX"


def test_deeply_nested_variables_are_refused(gateway: RunningGateway) -> None:
    """Up to the depth that the JSON parser can read."""
    nested: Any = 1
    for _ in range(200):
        nested = [nested]
    assert code_of(gateway.ask("web", "query ($a: ID!) { product(id: $a) { id } }", {"a": nested})) == "QUERY_TOO_COMPLEX"


FIRSTS: list[tuple[str, dict[str, Any], int]] = [
    ("first: 5000", {}, 100),
    ("first: null", {}, 20),
    ("first: -5", {}, 0),
    ("first: 7", {}, 7),
    ("", {}, 20),
    ("first: $n", {}, 20),
    ("first: $n", {"n": None}, 20),
    ("first: $n", {"n": 5000}, 100),
    ("first: $n", {"n": -1}, 0),
    ("first: $m", {}, 9),
]


@pytest.mark.parametrize(("argument", "variables", "length"), FIRSTS)
def test_cost_and_explain_estimate_the_same_lengths(
    start_gateway: StartGateway, argument: str, variables: dict[str, Any], length: int
) -> None:
    """An operation costs as many objects as `explain` says keys will be loaded."""
    gateway = start_gateway(BFF_VARIANTS__ADMIN__GRAPHIQL="true")
    shown = f"({argument})" if argument else ""
    declared = "($n: Int)" if "$n" in argument else "($m: Int = 9)" if "$m" in argument else ""
    text = f"query Q{declared} {{ orders{shown} {{ nodes {{ user {{ id }} }} }} }}"
    body = {"query": text, "variables": variables, "extensions": {"explain": True}}
    answer = gateway.post("admin", body, headers=gateway.bearer("1", "admin")).json()
    explained = answer["extensions"]["explain"]
    assert explained["cost"] == 2 * length, json.dumps(explained)
    assert explained["waves"][1][0]["keys"] == length


def test_a_document_that_is_not_prepared_in_time_is_refused(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other clients send more new documents than can be prepared. No request waits beyond its deadline."""
    gateway = start_gateway(BFF_REQUEST__DEADLINE_S="0.2")

    async def never(_: str) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(plans_of(gateway), "prepare", never)
    response = gateway.post("web", {"query": "{ __typename }"})
    assert (response.status_code, code_of(response.json())) == (503, "SERVICE_UNAVAILABLE")
    assert response.headers["retry-after"] == "1"
    monkeypatch.undo()
    assert gateway.ask("web", "{ __typename }") == {"data": {"__typename": "Query"}}
