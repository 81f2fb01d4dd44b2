"""Plans: a document is made ready once and kept within bounds; what is refused is not kept."""

from collections import Counter
from typing import Any

import pytest
from graphql import OperationType

from bff.engine import plans as module
from bff.engine.plans import Plans
from bff.errors import DocumentError, InvalidOperation, TooComplex
from bff.gate.limits import LimitOptions
from schema.graph import variant_schemas

WEB = variant_schemas()["web"]
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
        real = getattr(module, name)

        def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return real(*args, **options)

        monkeypatch.setattr(module, name, call)

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
    assert done == {"parse": 1, "validate": 1, "check_shape": 1}


def test_documents_are_known_by_their_text(plans: Plans, done: Counter[str]) -> None:
    """Another space is another document."""
    plans.get("{ me { id } }")
    assert plans.get("{ me { id  } }")[1] is False
    assert done["parse"] == 2


def test_two_variants_know_nothing_of_each_other() -> None:
    """A document that is known to one is checked against the graph of the other."""
    mobile = Plans(variant_schemas()["mobile"], LIMITS, introspection=True)
    Plans(WEB, LIMITS, introspection=True).get('{ product(id: "1") { description } }')
    assert refusal(mobile, '{ product(id: "1") { description } }').code == "GRAPHQL_VALIDATION_FAILED"


def test_the_one_that_has_rested_longest_goes_first(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many documents; to be asked for is no rest."""
    monkeypatch.setattr(module, "_MOST_DOCUMENTS", 3)
    documents = [f"{{ me {{ id }} }} # {number}" for number in range(4)]
    for document in documents[:3]:
        plans.get(document)
    plans.get(documents[0])
    plans.get(documents[3])
    assert repr(plans).startswith("<Plans 3 documents")
    assert [plans.get(documents[number])[1] for number in (0, 2, 3)] == [True, True, True]
    assert plans.get(documents[1])[1] is False


def test_what_is_kept_is_bounded_in_nodes(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many short words make a large tree: what has rested longest goes."""
    texts = ["{ me { " + "id name " * 10 + f"}} }} # {number}" for number in range(3)]
    nodes = plans.get(texts[0])[0].nodes
    assert nodes > 40
    monkeypatch.setattr(module, "_MOST_NODES", 2 * nodes)
    for text in texts:
        plans.get(text)
    assert [plans.get(text)[1] for text in (texts[1], texts[2], texts[0])] == [True, True, False]
    monkeypatch.setattr(module, "_MOST_NODES", nodes - 1)
    plans.get("{ me { id } }")
    assert plans.get("{ me { id } }")[1]
    assert "1 documents" in repr(plans)


def test_what_is_kept_is_bounded_in_characters(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many of the oldest go as make room; the count stays right."""
    monkeypatch.setattr(module, "_MOST_CHARACTERS", 100)
    small = [f"{{ me {{ id }} }} #{number}" for number in range(6)]  # of 16 characters
    for document in small:
        plans.get(document)
    assert repr(plans) == "<Plans 6 documents, 96 characters>"
    plans.get("{ me { id } } " + "#" * 26)  # of 40
    assert repr(plans) == "<Plans 4 documents, 88 characters>"
    assert [plans.get(document)[1] for document in small[3:]] == [True, True, True]


def test_a_document_longer_than_all_that_may_be_kept_is_served_and_not_kept(
    plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves nothing behind, and what it displaced is made ready anew."""
    monkeypatch.setattr(module, "_MOST_CHARACTERS", 100)
    long = "{ me { id } } " + "#" * 200
    assert plans.get(long)[0].operation(None).kind is OperationType.QUERY
    assert repr(plans) == "<Plans 0 documents, 0 characters>"
    assert plans.get(long)[1] is False


def test_many_documents_stay_within_the_bounds(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come: memory is bounded."""
    monkeypatch.setattr(module, "_MOST_DOCUMENTS", 10)
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
        ("{a" * 5000, DocumentError),
        ("{ " + "__typename " * 3000 + "}", TooComplex),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }", TooComplex),
    ],
)
def test_what_is_refused_is_not_kept(plans: Plans, document: str, error: type[Exception]) -> None:
    """A bad document is bad each time, and takes no room from good ones."""
    for _ in range(2):
        with pytest.raises(error):
            plans.get(document)
    assert repr(plans) == "<Plans 0 documents, 0 characters>"


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
