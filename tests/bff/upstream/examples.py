"""Examples of the shop's objects and replies as JSON, readable and not, for the tests of reads."""

from typing import Any

import pytest

from bff.upstream.errors import BadAnswer, Misshapen, SourceError
from datasources.orders import Order, Orders
from datasources.products import Product, Products
from datasources.users import User, Users
from tests.support.fakes import a_product, a_user, an_order, without

KINDS = [(Users, User, a_user), (Orders, Order, an_order), (Products, Product, a_product)]
every_source = pytest.mark.parametrize(("kind", "record", "example"), KINDS, ids=["users", "orders", "products"])


def items(*members: Any, **more: Any) -> dict[str, Any]:
    """A reply with these items."""
    return {"items": list(members), **more}


def page_of(*members: Any, cursor: str | None = None, total: int = 7) -> dict[str, Any]:
    """A reply that is a page."""
    return items(*members, nextCursor=cursor, total=total)


def faults(found: Any) -> dict[int, Any]:
    """The values by key, with errors as (class, whether it counts) and records as their ids."""
    shown: dict[type, type] = {Misshapen: BadAnswer}  # as a single object, or as an item of several
    return {
        key: (shown.get(type(it), type(it)), it.counts) if isinstance(it, SourceError) else it.id
        for key, it in found.items()
    }


LOST = (BadAnswer, False)
"""The error of one unreadable object. It is not held against the service."""

BROKEN = [
    without(a_user(2), "email"),
    a_user(2, email=7),
    a_user(2, tier="gold"),
    a_user(2, createdAt="2026-13-01T00:00:00Z"),
    {"id": 2},
    {"id": 2, "userId": "x"},
]
"""Users with a readable id that can't be read otherwise."""

NAMELESS: list[Any] = [
    without(a_user(2), "id"),
    a_user(2, id="2"),
    a_user(2, id=True),
    a_user(2, id=2.5),
    a_user(2, id=None),
    None,
    7,
    "x",
    [],
    {},
]
"""Items without a readable id."""
