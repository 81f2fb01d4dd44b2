"""Plain rows: what they show, what they leave to the closures, and what is remembered of them."""

from typing import Any

import msgspec
import pytest
import strawberry

from bff.engine.arguments import NO_VARIABLES
from bff.engine.operation import Operation, Planned
from bff.engine.plan import ObjectPlan, object_of
from bff.engine.rows import Memo, Row, Rows
from tests.bff.engine.test_operation import of
from tests.support.shop import product, schemas, user


def row(selection: str, memo: Memo | None = None, field: str = 'product(id: "1")') -> tuple[Row, list[str]]:
    """The function for an object of the field, and the keys that it leaves to others."""
    operation: Operation = of(f"{{ {field} {{ {selection} }} }}", schemas()["admin"])
    planned = operation.planned(NO_VARIABLES)
    assert isinstance(planned, Planned)
    inner = object_of(planned.plan.root.fields[0].shape)
    assert isinstance(inner, ObjectPlan)
    made, rest = Rows(memo or Memo()).begun_by(inner)
    assert made is not None
    return made, [each.key for each in rest]


def test_a_row_shows_members_by_their_types_in_their_order() -> None:
    """Ids as strings, enums by name, moments in UTC, methods by what they give; aliases as keys."""
    made, rest = row("sku x: id price inStock updatedAt __typename")
    shown = made(product(7))
    assert shown == {
        "sku": "SKU-7",
        "x": "7",
        "price": 2.5,
        "inStock": True,
        "updatedAt": "2026-01-01T00:00:00Z",
        "__typename": "Product",
    }
    assert list(shown or ()) == ["sku", "x", "price", "inStock", "updatedAt", "__typename"]
    assert rest == []


def test_what_takes_arguments_or_loads_is_left_to_others_with_its_place_kept() -> None:
    """Null stands there until it has come."""
    made, rest = row("id imageUrl(width: 3) name")
    assert made(product(7)) == {"id": "7", "imageUrl": None, "name": "Product 7"}
    assert rest == ["imageUrl"]
    made, rest = row("name orders { id } tier", field='user(id: "1")')
    assert made(user(1)) == {"name": "User 1", "orders": None, "tier": "PLUS"}
    assert rest == ["orders"]


@pytest.mark.parametrize(
    "changes",
    [
        {"price": float("nan")},
        {"price": float("inf")},
        {"stock": 2**31},
        {"stock": True},
        {"name": None},
        {"name": 7},
        {"id": 2.5},
        {"updated_at": "yesterday"},
    ],
    ids=str,
)
def test_a_surprise_is_left_to_the_rules(changes: dict[str, Any]) -> None:
    """Any value of another kind than usual: the row says nothing, and graphql-core's rules decide."""
    made, _ = row("id name price stock updatedAt")
    assert made(msgspec.structs.replace(product(7), **changes)) is None


class Impostor(Exception):
    """An error that has members of the names that are asked for."""

    id = 7
    name = "x"


@pytest.mark.parametrize("value", [None, Impostor(), object(), 7, strawberry.UNSET])
def test_what_is_no_record_is_no_row(value: Any) -> None:
    """Null and errors above all, whatever members they have."""
    made, _ = row("id name")
    assert made(value) is None


def test_a_null_where_it_may_stand_is_part_of_a_row() -> None:
    """A user's name is nullable."""
    made, _ = row("name tier", field='user(id: "1")')
    assert made(user(1, name=None)) == {"name": None, "tier": "PLUS"}


# What is remembered


def test_the_same_record_is_shown_once() -> None:
    """The very same row, for the very same record; an equal one has a row of its own, and so has another selection."""
    memo = Memo([type(product(1))])
    made, _ = row("id name", memo)
    record = product(7)
    assert made(record) is made(record)
    assert made(product(7)) is not made(record)
    other, _ = row("id price", memo)
    assert other(record) == {"id": "7", "price": 2.5}
    assert made(record) == {"id": "7", "name": "Product 7"}


def test_what_is_a_viewers_own_is_not_remembered() -> None:
    """Only the kinds that are named are."""
    memo = Memo([type(product(1))])
    made, _ = row("name", memo, field='user(id: "1")')
    assert made(user(1)) == {"name": "User 1"}
    assert memo.rows == {}


def test_what_is_remembered_is_bounded() -> None:
    """When it is full it begins anew."""
    memo = Memo([type(product(1))])
    made, _ = row("id", memo)
    kept = [product(number) for number in range(1, Memo.MOST + 10)]
    for record in kept:
        assert made(record) == {"id": str(record.id)}
    assert 0 < len(memo.rows) <= Memo.MOST


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    """Few large rows are as much as many small ones; one that is larger than all may be isn't remembered."""
    memo = Memo([type(product(1))])
    made, _ = row("id description", memo)
    text = "x" * (Memo.MOST_BYTES // 10)
    kept = [msgspec.structs.replace(product(number), description=text) for number in range(1, 20)]
    for record in kept:
        assert made(record) == {"id": str(record.id), "description": text}
        assert memo.weight <= Memo.MOST_BYTES
    assert 0 < len(memo.rows) < 5
    before = len(memo.rows)
    made(msgspec.structs.replace(product(99), description=text * 10))
    assert len(memo.rows) == before


def test_a_row_that_others_complete_is_not_remembered() -> None:
    """It is filled in later, each time for somebody else."""
    memo = Memo([type(product(1))])
    made, _ = row("id imageUrl(width: 3)", memo)
    record = product(7)
    assert made(record) is not made(record)
    assert memo.rows == {}
