"""Plain rows: what they show, what they leave to the plan's other functions, and which rows are remembered."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
import strawberry
from graphql import GraphQLID

from bff.engine.arguments import NO_VARIABLES
from bff.engine.operation import Operation, Planned
from bff.engine.plan import ObjectPlan, object_of
from bff.engine.rows import Memo, Row, Rows
from tests.bff.engine.test_operation import of
from tests.support.shop import product, schemas, user


def row(selection: str, memo: Memo | None = None, field: str = 'product(id: "1")') -> tuple[Row, list[str]]:
    """The function for an object of the field, and the keys of the fields that it leaves out."""
    operation: Operation = of(f"{{ {field} {{ {selection} }} }}", schemas()["admin"])
    planned = operation.planned(NO_VARIABLES)
    assert isinstance(planned, Planned)
    inner = object_of(planned.plan.root.fields[0].shape)
    assert isinstance(inner, ObjectPlan)
    made, rest = Rows(memo or Memo()).begun_by(inner)
    assert made is not None
    return made, [each.key for each in rest]


def test_a_row_shows_values_by_their_types_in_order() -> None:
    """Ids as strings, enums by name, timestamps in UTC, results of pure methods; aliases as keys."""
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


@pytest.mark.parametrize(
    ("id", "shown"),
    [("r/1,%2e", "r/1,%2e"), (UUID("6FA75BB9-CF7E-5D64-9C2F-706B344877D5"), "6fa75bb9-cf7e-5d64-9c2f-706b344877d5")],
    ids=["a string", "a UUID"],
)
def test_a_row_shows_ids_of_every_type_as_graphql_core_would(id: Any, shown: str) -> None:
    """The function makes the row itself, without falling back on the plan's other functions."""
    made, _ = row("id name")
    record = msgspec.structs.replace(product(7), id=id)
    assert made(record) == {"id": shown, "name": "Product 7"}
    assert GraphQLID.coerce_output_value(id) == shown


def test_fields_with_arguments_or_loads_are_left_null() -> None:
    """The row keeps their keys in order, for the writers."""
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
def test_a_row_with_an_unusual_value_is_not_made(changes: dict[str, Any]) -> None:
    """The function returns None, and graphql-core's rules decide."""
    made, _ = row("id name price stock updatedAt")
    assert made(msgspec.structs.replace(product(7), **changes)) is None


class Impostor(Exception):
    """An error that has attributes with the names of the fields."""

    id = 7
    name = "x"


@pytest.mark.parametrize("value", [None, Impostor(), object(), 7, strawberry.UNSET])
def test_only_a_record_makes_a_row(value: Any) -> None:
    """Null, errors and other values don't, whatever their attributes."""
    made, _ = row("id name")
    assert made(value) is None


def test_a_nullable_field_may_be_null_in_a_row() -> None:
    """Such as a user's name."""
    made, _ = row("name tier", field='user(id: "1")')
    assert made(user(1, name=None)) == {"name": None, "tier": "PLUS"}


# The memo


def test_a_record_s_row_is_remembered() -> None:
    """By the record's identity and the selection: an equal record has its own row."""
    memo = Memo([type(product(1))])
    made, _ = row("id name", memo)
    record = product(7)
    assert made(record) is made(record)
    assert made(product(7)) is not made(record)
    other, _ = row("id price", memo)
    assert other(record) == {"id": "7", "price": 2.5}
    assert made(record) == {"id": "7", "name": "Product 7"}


def test_only_rows_of_public_kinds_are_remembered() -> None:
    """A user's are not."""
    memo = Memo([type(product(1))])
    made, _ = row("name", memo, field='user(id: "1")')
    assert made(user(1)) == {"name": "User 1"}
    assert memo.rows == {}


def test_the_memo_is_limited_in_rows() -> None:
    """When it is full it is cleared."""
    memo = Memo([type(product(1))])
    made, _ = row("id", memo)
    kept = [product(number) for number in range(1, Memo.MOST + 10)]
    for record in kept:
        assert made(record) == {"id": str(record.id)}
    assert 0 < len(memo.rows) <= Memo.MOST


def test_the_memo_is_limited_in_bytes() -> None:
    """A row that is larger than the limit is not remembered."""
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


def test_a_row_with_other_fields_is_not_remembered() -> None:
    """Each request writes its own values into it."""
    memo = Memo([type(product(1))])
    made, _ = row("id imageUrl(width: 3)", memo)
    record = product(7)
    assert made(record) is not made(record)
    assert memo.rows == {}
