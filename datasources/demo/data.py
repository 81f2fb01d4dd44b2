"""The demo data: a thousand users, five hundred products, ten thousand orders, each computed from its number.

Two `DemoData` made alike are alike, record by record, so that a test or a reader can compute any answer. Writes change
only the object they are made on; nothing is ever read from or written to a file. Money is `Decimal`, always of whole
cents, so that sums are exact. Not for use from several threads at once.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Final, Generic, Protocol, TypeVar

import msgspec

USERS: Final = 1000
PRODUCTS: Final = 500
ORDERS: Final = 10_000

TIERS: Final = ("free", "plus", "pro")
CATEGORIES: Final = ("books", "garden", "kitchen", "music", "toys")
CURRENCY: Final = "USD"

NEW_YEAR: Final = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_OF_FEBRUARY: Final = datetime(2026, 2, 1, tzinfo=UTC)


class Status(StrEnum):
    """Where an order stands. The first four are in the order in which an order walks them."""

    PENDING = "pending"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


STATUSES: Final = tuple(Status)


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A user as the users service shows it."""

    id: int
    name: str
    email: str
    tier: str
    created_at: datetime


class Product(msgspec.Struct, frozen=True, rename="camel"):
    """A product as the products service shows it."""

    id: int
    sku: str
    name: str
    description: str
    price: Decimal
    currency: str
    stock: int
    category: str
    image_url: str
    updated_at: datetime


class OrderItem(msgspec.Struct, frozen=True, rename="camel"):
    """One line of an order, at the price of the day it was ordered."""

    product_id: int
    quantity: int
    unit_price: Decimal


class Order(msgspec.Struct, frozen=True, rename="camel"):
    """An order as the orders service shows it."""

    id: int
    user_id: int
    status: Status
    currency: str
    total: Decimal
    created_at: datetime
    items: tuple[OrderItem, ...]


def money(cents: int) -> Decimal:
    """The amount of so many cents, written as JSON numbers mostly are: 8.7 rather than 8.70."""
    return Decimal(repr(cents / 100))


def total_of(items: Iterable[OrderItem]) -> Decimal:
    """The sum of quantity times price: exact, since prices are whole cents, so that no half is left to round up."""
    return sum((item.quantity * item.unit_price for item in items), Decimal(0))


@cache
def demo_user(i: int) -> User:
    """User `i`, counted from 1."""
    return User(i, f"User {i}", f"user{i}@example.com", TIERS[i % 3], NEW_YEAR + timedelta(minutes=i))


def demo_price(p: int) -> Decimal:
    """The price of product `p` before anyone changes it."""
    return money(500 + p * 37 % 1000 * 10)


@cache
def demo_product(p: int) -> Product:
    """Product `p`, counted from 1."""
    return Product(
        id=p,
        sku=f"SKU-{p:05d}",
        name=f"Product {p}",
        description=f"The one and only product {p}.",
        price=demo_price(p),
        currency=CURRENCY,
        stock=p * 7 % 100,
        category=CATEGORIES[p % 5],
        image_url=f"https://cdn.example.com/products/{p}.jpg",
        updated_at=NEW_YEAR,
    )


@cache
def demo_order(o: int) -> Order:
    """Order `o`, counted from 1."""
    products = [(o * 7 + k * 13) % PRODUCTS + 1 for k in range(o % 4 + 1)]
    items = tuple(OrderItem(p, (o + k) % 3 + 1, demo_price(p)) for k, p in enumerate(products))
    return Order(
        id=o,
        user_id=(o - 1) % USERS + 1,
        status=STATUSES[o % 5],
        currency=CURRENCY,
        total=total_of(items),
        created_at=FIRST_OF_FEBRUARY + timedelta(minutes=o),
        items=items,
    )


class Record(Protocol):
    """Anything with a number."""

    @property
    def id(self) -> int:
        """The record's number, unique in its table."""


R = TypeVar("R", bound=Record)

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Table(Generic[R]):
    """Records by id, with each one's JSON kept from its first reading until the record changes."""

    def __init__(self, noun: str, records: Iterable[R]) -> None:
        self.noun = noun
        self._records = {record.id: record for record in records}
        self._json: dict[int, bytes] = {}
        self._ids = sorted(self._records)

    def __repr__(self) -> str:
        return f"<Table of {len(self._ids)} {self.noun}s, {len(self._json)} encoded>"

    def __contains__(self, id_: object) -> bool:
        return id_ in self._records

    @property
    def ids(self) -> Sequence[int]:
        """All ids, ascending."""
        return self._ids

    def get(self, id_: int) -> R | None:
        """The record, or None where there is none."""
        return self._records.get(id_)

    def records(self) -> Iterable[R]:
        """All records, in the order they were added: ascending, unless one was put out of turn."""
        return self._records.values()

    def put(self, record: R) -> None:
        """Adds a record, or takes the place of the one with its id."""
        if record.id not in self._records:
            insort(self._ids, record.id)
        self._records[record.id] = record
        self._json.pop(record.id, None)

    def json(self, ids: Iterable[int]) -> bytes:
        """The records' JSON, comma-separated, in the order asked; what does not exist is left out."""
        # Most calls find all their records encoded already: a lookup each, and one join, is all the work then.
        known, parts = self._json, []
        for id_ in ids:
            part = known.get(id_)
            if part is None:
                record = self._records.get(id_)
                if record is None:
                    continue
                part = known[id_] = _encode(record)
            parts.append(part)
        return b",".join(parts)


def utc_now() -> datetime:
    """The time, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


class DemoData:
    """What the three services serve; apps that are given the same object see each other's writes.

    Users and products are changed with their table's `put`; orders only through this class, which keeps them findable
    by user and by status.
    """

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self.now = now
        self.users = Table("user", map(demo_user, range(1, USERS + 1)))
        self.products = Table("product", map(demo_product, range(1, PRODUCTS + 1)))
        self.orders = Table("order", map(demo_order, range(1, ORDERS + 1)))
        self._by_user: defaultdict[int, list[int]] = defaultdict(list)
        self._by_status: dict[Status, list[int]] = {status: [] for status in Status}
        for order in self.orders.records():
            self._index(order)

    def __repr__(self) -> str:
        return f"<DemoData {self.users!r} {self.products!r} {self.orders!r}>"

    def orders_of(self, user_id: int) -> Sequence[int]:
        """The ids of a user's orders, ascending."""
        return self._by_user.get(user_id, ())

    def orders_in(self, status: Status) -> Sequence[int]:
        """The ids of the orders that stand so, ascending."""
        return self._by_status[status]

    def add_order(self, user_id: int, items: Iterable[OrderItem]) -> Order:
        """A new order, pending, with the next number and the present time. Does not check what it is given."""
        lines = tuple(items)
        next_id = self.orders.ids[-1] + 1
        order = Order(next_id, user_id, Status.PENDING, CURRENCY, total_of(lines), self.now(), lines)
        self.orders.put(order)
        self._index(order)
        return order

    def set_status(self, order: Order, status: Status) -> None:
        """Moves an order to another status, whichever it is: the rules are the service's."""
        left = self._by_status[order.status]
        del left[bisect_left(left, order.id)]
        insort(self._by_status[status], order.id)
        self.orders.put(msgspec.structs.replace(order, status=status))

    def _index(self, order: Order) -> None:
        # A new order has the highest id of all, so that appending keeps both lists ascending.
        self._by_user[order.user_id].append(order.id)
        self._by_status[order.status].append(order.id)
