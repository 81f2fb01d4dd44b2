"""Plans: a document is made ready once and kept within bounds; what is refused is not kept."""

import asyncio
import gc
from collections import Counter
from typing import Any

import pytest
from graphql import OperationType

from bff.engine import plans as module
from bff.engine import prepare
from bff.engine.arguments import NO_VARIABLES
from bff.engine.operation import Planned
from bff.engine.pace import Pace
from bff.engine.plans import Plans
from bff.errors import DocumentError, InvalidOperation, TooComplex
from bff.gate.limits import LimitOptions
from datasources.products import Product
from schema.app import app as shop_app

WEB = shop_app.schemas["web"]
LIMITS = LimitOptions()


@pytest.fixture
def plans() -> Plans:
    """A variant's plans, with introspection."""
    return Plans(WEB, LIMITS, introspection=True)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often documents have been parsed and validated."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> None:
        real = getattr(prepare, name)

        def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return real(*args, **options)

        monkeypatch.setattr(prepare, name, call)

    for name in ("parse", "validate", "check_shape"):
        counted(name)
    return counts


def refusal(plans: Plans, document: str) -> DocumentError:
    """Why a document is refused."""
    with pytest.raises(DocumentError) as caught:
        plans.get(document)
    return caught.value


# What is known


def test_a_known_document_is_made_ready_once(plans: Plans, done: Counter[str]) -> None:
    """The second time it is neither parsed nor validated nor measured, and the same comes back."""
    first, known_first = plans.get("{ me { id } }")
    second, known_second = plans.get("{ me { id } }")
    assert (known_first, known_second) == (False, True)
    assert first is second
    assert done == {"parse": 1, "validate": 2, "check_shape": 1}  # the rule about overlapping fields goes apart


def test_documents_are_known_by_their_text(plans: Plans, done: Counter[str]) -> None:
    """Another space is another document."""
    plans.get("{ me { id } }")
    assert plans.get("{ me { id  } }")[1] is False
    assert done["parse"] == 2


def test_two_variants_know_nothing_of_each_other() -> None:
    """A document that is known to one is checked against the graph of the other."""
    mobile = Plans(shop_app.schemas["mobile"], LIMITS, introspection=True)
    Plans(WEB, LIMITS, introspection=True).get('{ product(id: "1") { description } }')
    assert refusal(mobile, '{ product(id: "1") { description } }').code == "GRAPHQL_VALIDATION_FAILED"


def test_the_one_that_has_rested_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many documents; to be asked for is no rest."""
    monkeypatch.setattr(module, "_MOST_DOCUMENTS", 3)
    plans = Plans(WEB, LIMITS, introspection=True)
    documents = [f"{{ me {{ id }} }} # {number}" for number in range(4)]
    for document in documents[:3]:
        plans.get(document)
    plans.get(documents[0])
    plans.get(documents[3])
    assert repr(plans).startswith("<Plans 3 documents")
    assert [plans.get(documents[number])[1] for number in (0, 2, 3)] == [True, True, True]
    assert plans.get(documents[1])[1] is False


def test_what_is_kept_is_bounded_in_bytes() -> None:
    """Many short words make a large tree: the least recently used goes, and as many of them as make room."""
    texts = ["{ me { " + "id name " * 10 + f"}} }} # {number}" for number in range(5)]
    weight = Plans(WEB, LIMITS, introspection=True).get(texts[0])[0].weight
    plans = Plans(WEB, LIMITS, introspection=True, max_bytes=4 * weight)
    for text in texts:
        plans.get(text)
    assert plans.weight == 4 * weight
    assert [plans.get(text)[1] for text in (*texts[1:], texts[0])] == [True] * 4 + [False]


def test_a_document_counts_with_all_that_is_compiled_of_it() -> None:
    """Plans are made later than the document: then others go for them, or the document itself."""
    texts = ["{ me { id name email tier } } # " + str(number) for number in range(4)]
    weight = Plans(WEB, LIMITS, introspection=True).get(texts[0])[0].weight
    plans = Plans(WEB, LIMITS, introspection=True, max_bytes=8 * weight)
    prepared = [plans.get(text)[0] for text in texts]
    operation = prepared[0].operation(None)
    for _ in range(3):
        operation.planned(NO_VARIABLES)
    assert prepared[0].weight > 2 * weight
    assert plans.weight <= 8 * weight
    assert plans.get(texts[0])[1] is False


def test_what_was_evicted_weighs_nothing_when_it_is_compiled() -> None:
    """An operation of an evicted document may still be compiled; a document that was cached since doesn't get heavier."""
    plans = Plans(WEB, LIMITS, introspection=True)
    text = "{ me { id } }"
    old = plans.get(text)[0].operation(None)
    plans._known.drop(text)
    plans.get(text)
    weight = plans.weight
    for _ in range(3):
        old.planned(NO_VARIABLES)
    assert plans.weight == weight


def test_a_document_heavier_than_its_share_is_served_and_not_kept() -> None:
    """It leaves nothing behind, and displaces nothing."""
    plans = Plans(WEB, LIMITS, introspection=True, max_bytes=100_000)
    plans.get("{ me { id } }")
    long = "{ me { id } } # " + "x" * 20_000
    assert plans.get(long)[0].operation(None).kind is OperationType.QUERY
    assert plans.get(long)[1] is False
    assert plans.get("{ me { id } }")[1] is True


async def test_a_document_that_several_ask_for_at_once_is_prepared_once(plans: Plans, done: Counter[str]) -> None:
    """The others wait for it, and get the same."""
    found = await asyncio.gather(*(plans.prepare("{ me { id } }" + " " * 300) for _ in range(5)))
    assert [known for _, known in found] == [False, True, True, True, True]
    assert len({id(prepared) for prepared, _ in found}) == 1
    assert done["parse"] == 1


async def test_stages_of_many_documents_are_spread_over_turns(monkeypatch: pytest.MonkeyPatch, done: Counter[str]) -> None:
    """With a clock by which each stage takes too long: in no turn of the loop is there more than one of them."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1
        return now

    plans = Plans(WEB, LIMITS, introspection=True, pace=Pace(clock))
    turns: Counter[str] = Counter()
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            before = done.copy()
            await asyncio.sleep(0)
            most = max(most, (done - before).total())
            turns["all"] += 1

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(plans.prepare(f"{{ me {{ id }} }} # {number:300}") for number in range(10)))
    watching.cancel()
    assert most <= 2  # to measure and to validate is one stage
    assert turns["all"] >= 30


def test_many_documents_stay_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come: memory is bounded."""
    monkeypatch.setattr(module, "_MOST_DOCUMENTS", 10)
    plans = Plans(WEB, LIMITS, introspection=True)
    for number in range(100):
        plans.get(f"{{ a{number}: __typename }}")
    assert repr(plans).startswith("<Plans 10 documents")


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("{ me { id }", DocumentError),
        ("", DocumentError),
        ("{ me { nothing } }", DocumentError),
        ("{ me }", DocumentError),
        ("type A { a: Int }", DocumentError),
        ("{a" * 5000, TooComplex),
        ("{ " + "__typename " * 3000 + "}", TooComplex),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }", TooComplex),
    ],
)
def test_what_is_refused_is_not_kept(plans: Plans, document: str, error: type[Exception]) -> None:
    """A bad document is bad each time, and takes no room from good ones."""
    for _ in range(2):
        with pytest.raises(error):
            plans.get(document)
    assert repr(plans) == "<Plans 0 documents, 0 bytes>"


# What is refused


@pytest.mark.parametrize("document", ["", "   ", "{", "{ me { id } }}", "query", "\x00", "{ me { id } } \ud800", "😀"])
def test_what_is_no_graphql_fails_to_parse(plans: Plans, document: str) -> None:
    """With the code for it, and where."""
    error = refusal(plans, document)
    assert error.code == "GRAPHQL_PARSE_FAILED"
    assert error.errors[0].locations


@pytest.mark.parametrize(
    "document",
    [
        "{ nothing }",
        "query A { me { id } } query A { me { id } }",
        "query A { me { id } } { me { id } }",
        "query ($unused: Int) { me { id } }",
        "{ me { id } } fragment Unused on User { id }",
        "{ user(id: 1.5) { id } }",
        "subscription { a }",
        "{ me @nothing { id } }",
    ],
)
def test_what_the_graph_has_not_fails_to_validate(plans: Plans, document: str) -> None:
    """With the code for it; the whole document, whichever operation is meant."""
    assert refusal(plans, document).code == "GRAPHQL_VALIDATION_FAILED"


def test_a_flood_of_errors_is_cut_off(plans: Plans) -> None:
    """Twenty are told, and that there are more."""
    error = refusal(plans, "{ " + " ".join(f"nothing{number}" for number in range(45)) + " }")
    assert len(error.errors) == 21
    assert "Too many" in error.errors[-1].message


# Introspection


@pytest.mark.parametrize("document", ["{ __schema { queryType { name } } }", '{ __type(name: "User") { name } }'])
def test_where_introspection_is_off_the_graph_is_not_told(plans: Plans, document: str) -> None:
    """Neither whole nor by type; where it is on, both are."""
    closed = Plans(WEB, LIMITS, introspection=False)
    assert refusal(closed, document).code == "GRAPHQL_VALIDATION_FAILED"
    assert plans.get(document)[0].operation(None).fixed_cost == 0


def test_where_introspection_is_off_types_still_have_names() -> None:
    """`__typename` tells only of what one has: clients can't do without it."""
    closed = Plans(WEB, LIMITS, introspection=False)
    closed.get("{ __typename me { __typename } }")


@pytest.mark.parametrize(
    "document",
    [
        "{ mee { id } }",
        "{ me { emial } }",
        '{ user(di: "1") { id } }',
        "{ me { orders(status: PAD) { id } } }",
        "{ me { ...F } } fragment F on Usr { id }",
        "mutation { updateProfile(input: {nam: 1}) { user { id } } }",
        "query ($a: Strin) { products(search: $a) { totalCount } }",
    ],
)
def test_where_introspection_is_off_nothing_is_suggested(plans: Plans, document: str) -> None:
    """An error does not say what would have been right; where introspection is on, it does."""
    closed = Plans(WEB, LIMITS, introspection=False)
    assert (closed.hide_suggestions, plans.hide_suggestions) == (True, False)
    assert not any("Did you mean" in error.message for error in refusal(closed, document).errors)
    assert any("Did you mean" in error.message for error in refusal(plans, document).errors)


# Operations


THREE = "query A { me { id } } query B { me { id } } mutation C { cancelOrder(id: 1) { order { id } } }"


@pytest.mark.parametrize(
    ("name", "kind"), [("A", OperationType.QUERY), ("B", OperationType.QUERY), ("C", OperationType.MUTATION)]
)
def test_the_operation_of_that_name_is_meant(plans: Plans, name: str, kind: OperationType) -> None:
    """Of several, the one that is named."""
    operation = plans.get(THREE)[0].operation(name)
    assert (operation.name, operation.kind) == (name, kind)


@pytest.mark.parametrize("name", [None, ""])
def test_of_several_one_has_to_be_named(plans: Plans, name: str | None) -> None:
    """None and an empty name are no name."""
    with pytest.raises(InvalidOperation, match="operationName"):
        plans.get(THREE)[0].operation(name)


@pytest.mark.parametrize("name", [None, ""])
@pytest.mark.parametrize("document", ["{ me { id } }", "query A { me { id } }"])
def test_a_single_operation_need_not_be_named(plans: Plans, document: str, name: str | None) -> None:
    """Whether it has a name or not."""
    assert plans.get(document)[0].operation(name).kind is OperationType.QUERY


@pytest.mark.parametrize("document", ["{ me { id } }", "query A { me { id } }", THREE])
@pytest.mark.parametrize("name", ["Z", "a", " A"])
def test_a_name_that_is_not_there_is_refused(plans: Plans, document: str, name: str) -> None:
    """Even if there is but one operation: what was asked for is not what would be run. It is not repeated to anybody."""
    with pytest.raises(InvalidOperation) as caught:
        plans.get(document)[0].operation(name)
    assert (caught.value.code, caught.value.status) == ("BAD_USER_INPUT", None)


def test_a_document_without_operations_has_none_to_run(plans: Plans) -> None:
    """Fragments alone are refused, by validation or in the end."""
    with pytest.raises((DocumentError, InvalidOperation)):
        plans.get("fragment F on User { id }")[0].operation(None)


# Cost


def test_a_cost_that_no_variable_decides_is_counted_once(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the document is made ready; afterwards it is only compared."""
    operation = plans.get("{ products(first: 30) { nodes { id } } }")[0].operation(None)
    assert operation.fixed_cost == 30
    monkeypatch.setattr(plans._cost, "of", lambda *_: pytest.fail("counted again"), raising=False)
    plans.check_cost(operation, {"anything": 100})


def test_a_cost_that_variables_decide_is_counted_each_time() -> None:
    """The same document passes with some and is refused with others."""
    plans = Plans(WEB, LimitOptions(cost=50), introspection=True)
    operation = plans.get("query ($n: Int) { products(first: $n) { nodes { id } } }")[0].operation(None)
    assert operation.fixed_cost is None
    plans.check_cost(operation, {"n": 50})
    with pytest.raises(TooComplex, match="cost: 51, allowed are 50"):
        plans.check_cost(operation, {"n": 51})
    plans.check_cost(operation, {})


def test_each_operation_has_its_own_cost() -> None:
    """A dear one beside it makes a cheap one no dearer."""
    plans = Plans(WEB, LimitOptions(cost=50), introspection=True)
    prepared, _ = plans.get("query A { me { id } } query B { products(first: 51) { nodes { id } } }")
    plans.check_cost(prepared.operation("A"), {})
    with pytest.raises(TooComplex):
        plans.check_cost(prepared.operation("B"), {})


def test_what_is_dropped_is_freed_at_once() -> None:
    """A document and its plans lead back to themselves nowhere: the collector, which comes but rarely, has nothing to do."""
    text = (
        "query ($a: Boolean!) { me { id @skip(if: $a) name orders { id items { product { id name price } } user { id } } } "
        "products { edges { cursor node { id } } nodes { name } } }"
    )
    plans = Plans(WEB, LIMITS, introspection=False, public=[Product])

    def use() -> None:
        for _ in range(3):
            prepared, _ = plans.get(text)
            operation = prepared.operation(None)
            for answer in (True, False):
                assert isinstance(operation.planned(operation.variables.coerce({"a": answer})), Planned)

    use()
    plans._known.clear()
    gc.collect()
    gc.disable()
    try:
        use()
        gc.collect()  # of what parsing has left
        gc.set_debug(gc.DEBUG_SAVEALL)
        plans._known.clear()
        gc.collect()
        assert not gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
