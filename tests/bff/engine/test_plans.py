"""`Plans`: documents are prepared once and cached within limits; refused documents are not cached."""

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
    """How often documents were parsed, validated and measured."""
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
    """The error with which a document is refused."""
    with pytest.raises(DocumentError) as caught:
        plans.get(document)
    return caught.value


# The cache


def test_a_document_is_prepared_once(plans: Plans, done: Counter[str]) -> None:
    """The second time it is not parsed, validated or measured, and the same object is returned."""
    first, known_first = plans.get("{ me { id } }")
    second, known_second = plans.get("{ me { id } }")
    assert (known_first, known_second) == (False, True)
    assert first is second
    assert done == {"parse": 1, "validate": 2, "check_shape": 1}  # the rule about overlapping fields is checked separately


def test_documents_are_cached_by_their_text(plans: Plans, done: Counter[str]) -> None:
    """A text with one more space is another document."""
    plans.get("{ me { id } }")
    assert plans.get("{ me { id  } }")[1] is False
    assert done["parse"] == 2


def test_variants_share_no_documents() -> None:
    """A document that one variant has cached is validated against the other variant's schema."""
    mobile = Plans(shop_app.schemas["mobile"], LIMITS, introspection=True)
    Plans(WEB, LIMITS, introspection=True).get('{ product(id: "1") { description } }')
    assert refusal(mobile, '{ product(id: "1") { description } }').code == "GRAPHQL_VALIDATION_FAILED"


def test_the_least_recently_used_document_is_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are more documents than the limit."""
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


def test_the_cache_is_limited_in_bytes() -> None:
    """By the size of the syntax trees. Least recently used documents are evicted until there is room."""
    texts = ["{ me { " + "id name " * 10 + f"}} }} # {number}" for number in range(5)]
    weight = Plans(WEB, LIMITS, introspection=True).get(texts[0])[0].weight
    plans = Plans(WEB, LIMITS, introspection=True, max_bytes=4 * weight)
    for text in texts:
        plans.get(text)
    assert plans.weight == 4 * weight
    assert [plans.get(text)[1] for text in (*texts[1:], texts[0])] == [True] * 4 + [False]


def test_a_document_s_weight_includes_its_compiled_plans() -> None:
    """Plans are compiled later than the document. Then other documents are evicted, or the document itself."""
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


def test_compiling_an_evicted_document_changes_no_weight() -> None:
    """Even if the same text has been cached again since."""
    plans = Plans(WEB, LIMITS, introspection=True)
    text = "{ me { id } }"
    old = plans.get(text)[0].operation(None)
    plans._known.drop(text)
    plans.get(text)
    weight = plans.weight
    for _ in range(3):
        old.planned(NO_VARIABLES)
    assert plans.weight == weight


def test_a_document_heavier_than_its_share_is_not_cached() -> None:
    """It is prepared each time, and evicts no other."""
    plans = Plans(WEB, LIMITS, introspection=True, max_bytes=100_000)
    plans.get("{ me { id } }")
    long = "{ me { id } } # " + "x" * 20_000
    assert plans.get(long)[0].operation(None).kind is OperationType.QUERY
    assert plans.get(long)[1] is False
    assert plans.get("{ me { id } }")[1] is True


async def test_concurrent_requests_for_a_document_prepare_it_once(plans: Plans, done: Counter[str]) -> None:
    """The others wait, and get the same object."""
    found = await asyncio.gather(*(plans.prepare("{ me { id } }" + " " * 300) for _ in range(5)))
    assert [known for _, known in found] == [False, True, True, True, True]
    assert len({id(prepared) for prepared, _ in found}) == 1
    assert done["parse"] == 1


async def test_stages_of_many_documents_are_spread_over_loop_iterations(
    monkeypatch: pytest.MonkeyPatch, done: Counter[str]
) -> None:
    """By this clock each stage uses up an iteration's time, so no iteration has more than one."""
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
    assert most <= 2  # measuring and validating share a stage
    assert turns["all"] >= 30


def test_the_cache_is_limited_in_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred documents, of which ten are kept."""
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
def test_refused_documents_are_not_cached(plans: Plans, document: str, error: type[Exception]) -> None:
    """They are refused each time, and evict no other."""
    for _ in range(2):
        with pytest.raises(error):
            plans.get(document)
    assert repr(plans) == "<Plans 0 documents, 0 bytes>"


# Refused documents


@pytest.mark.parametrize("document", ["", "   ", "{", "{ me { id } }}", "query", "\x00", "{ me { id } } \ud800", "😀"])
def test_a_syntax_error_has_its_code_and_location(plans: Plans, document: str) -> None:
    """GRAPHQL_PARSE_FAILED."""
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
def test_an_invalid_document_has_the_code_of_validation(plans: Plans, document: str) -> None:
    """The whole document is validated, not only the operation to execute."""
    assert refusal(plans, document).code == "GRAPHQL_VALIDATION_FAILED"


def test_the_number_of_validation_errors_is_limited(plans: Plans) -> None:
    """Twenty are reported, and a last one says that there are more."""
    error = refusal(plans, "{ " + " ".join(f"nothing{number}" for number in range(45)) + " }")
    assert len(error.errors) == 21
    assert "Too many" in error.errors[-1].message


# Introspection


@pytest.mark.parametrize("document", ["{ __schema { queryType { name } } }", '{ __type(name: "User") { name } }'])
def test_introspection_can_be_refused(plans: Plans, document: str) -> None:
    """Of the schema and of a type. If it is allowed, it costs nothing."""
    closed = Plans(WEB, LIMITS, introspection=False)
    assert refusal(closed, document).code == "GRAPHQL_VALIDATION_FAILED"
    assert plans.get(document)[0].operation(None).fixed_cost == 0


def test_typename_is_allowed_without_introspection() -> None:
    """Clients need it, and it reveals only types of returned objects."""
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
def test_without_introspection_errors_suggest_no_names(plans: Plans, document: str) -> None:
    """With introspection they do."""
    closed = Plans(WEB, LIMITS, introspection=False)
    assert (closed.hide_suggestions, plans.hide_suggestions) == (True, False)
    assert not any("Did you mean" in error.message for error in refusal(closed, document).errors)
    assert any("Did you mean" in error.message for error in refusal(plans, document).errors)


# Operations


THREE = "query A { me { id } } query B { me { id } } mutation C { cancelOrder(id: 1) { order { id } } }"


@pytest.mark.parametrize(
    ("name", "kind"), [("A", OperationType.QUERY), ("B", OperationType.QUERY), ("C", OperationType.MUTATION)]
)
def test_an_operation_is_selected_by_name(plans: Plans, name: str, kind: OperationType) -> None:
    """Of several."""
    operation = plans.get(THREE)[0].operation(name)
    assert (operation.name, operation.kind) == (name, kind)


@pytest.mark.parametrize("name", [None, ""])
def test_one_of_several_operations_must_be_named(plans: Plans, name: str | None) -> None:
    """None and an empty text are no name."""
    with pytest.raises(InvalidOperation, match="operationName"):
        plans.get(THREE)[0].operation(name)


@pytest.mark.parametrize("name", [None, ""])
@pytest.mark.parametrize("document", ["{ me { id } }", "query A { me { id } }"])
def test_a_single_operation_needs_no_name(plans: Plans, document: str, name: str | None) -> None:
    """Whether the document names it or not."""
    assert plans.get(document)[0].operation(name).kind is OperationType.QUERY


@pytest.mark.parametrize("document", ["{ me { id } }", "query A { me { id } }", THREE])
@pytest.mark.parametrize("name", ["Z", "a", " A"])
def test_an_unknown_operation_name_is_refused(plans: Plans, document: str, name: str) -> None:
    """Even if the document has a single operation."""
    with pytest.raises(InvalidOperation) as caught:
        plans.get(document)[0].operation(name)
    assert (caught.value.code, caught.value.status) == ("BAD_USER_INPUT", None)


def test_a_document_without_operations_is_refused(plans: Plans) -> None:
    """By validation, or when an operation is selected."""
    with pytest.raises((DocumentError, InvalidOperation)):
        plans.get("fragment F on User { id }")[0].operation(None)


# Cost


def test_a_cost_without_variables_is_computed_once(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the document is prepared."""
    operation = plans.get("{ products(first: 30) { nodes { id } } }")[0].operation(None)
    assert operation.fixed_cost == 30
    monkeypatch.setattr(plans._cost, "of", lambda *_: pytest.fail("computed again"), raising=False)
    plans.check_cost(operation, {"anything": 100})


def test_a_cost_that_depends_on_variables_is_computed_each_time() -> None:
    """The document passes with some values and is refused with others."""
    plans = Plans(WEB, LimitOptions(cost=50), introspection=True)
    operation = plans.get("query ($n: Int) { products(first: $n) { nodes { id } } }")[0].operation(None)
    assert operation.fixed_cost is None
    plans.check_cost(operation, {"n": 50})
    with pytest.raises(TooComplex, match="cost: 51, allowed are 50"):
        plans.check_cost(operation, {"n": 51})
    plans.check_cost(operation, {})


def test_each_operation_has_its_own_cost() -> None:
    """An expensive operation in the document does not raise the cost of a cheap one."""
    plans = Plans(WEB, LimitOptions(cost=50), introspection=True)
    prepared, _ = plans.get("query A { me { id } } query B { products(first: 51) { nodes { id } } }")
    plans.check_cost(prepared.operation("A"), {})
    with pytest.raises(TooComplex):
        plans.check_cost(prepared.operation("B"), {})


def test_a_dropped_document_is_freed_by_reference_counting() -> None:
    """A document and its plans have no reference cycles, which the rare garbage collections would free late."""
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
        gc.collect()  # frees what parsing has left
        gc.set_debug(gc.DEBUG_SAVEALL)
        plans._known.clear()
        gc.collect()
        assert not gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
