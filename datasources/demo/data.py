"""The demo data: a thousand users, five hundred products, ten thousand orders, each computed from its number.

All `DemoData` start with the same records, so that a test can compute any response. A write changes only its own `DemoData`.
No file is read or written. Amounts are `Decimal` with whole cents, so that sums are exact. Not thread-safe.
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
    """The state of an order. The first four are in the order in which an order passes them."""

    PENDING = "pending"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


STATUSES: Final = tuple(Status)


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A user, as the users service returns it."""

    id: int
    name: str
    email: str
    tier: str
    created_at: datetime


class Product(msgspec.Struct, frozen=True, rename="camel"):
    """A product, as the products service returns it."""

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
    """One line of an order, with the price at the time of the order."""

    product_id: int
    quantity: int
    unit_price: Decimal


class Order(msgspec.Struct, frozen=True, rename="camel"):
    """An order, as the orders service returns it."""

    id: int
    user_id: int
    status: Status
    currency: str
    total: Decimal
    created_at: datetime
    items: tuple[OrderItem, ...]


def money(cents: int) -> Decimal:
    """An amount from cents, without trailing zeros: 8.7 and not 8.70."""
    return Decimal(repr(cents / 100))


def total_of(items: Iterable[OrderItem]) -> Decimal:
    """The sum of quantity times price. It is exact, since prices are whole cents."""
    return sum((item.quantity * item.unit_price for item in items), Decimal(0))


@cache
def demo_user(i: int) -> User:
    """User `i`, counted from 1."""
    return User(i, f"User {i}", f"user{i}@example.com", TIERS[i % 3], NEW_YEAR + timedelta(minutes=i))


def demo_price(p: int) -> Decimal:
    """The initial price of product `p`."""
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
    """An object with an id."""

    @property
    def id(self) -> int:
        """The record's id, unique in its table."""


R = TypeVar("R", bound=Record)

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Table(Generic[R]):
    """Records by id. The JSON of each record is cached when it is first read, until the record changes."""

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
        """The record; None if there is none."""
        return self._records.get(id_)

    def records(self) -> Iterable[R]:
        """All records, in the order in which they were added."""
        return self._records.values()

    def put(self, record: R) -> None:
        """Add a record, or replace the one with the same id."""
        if record.id not in self._records:
            insort(self._ids, record.id)
        self._records[record.id] = record
        self._json.pop(record.id, None)

    def json(self, ids: Iterable[int]) -> bytes:
        """The JSON of the records, separated by commas, in the order of the ids. Missing records are left out."""
        # Usually all records are encoded already, so this is one look-up for each and one join.
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
    """The current time, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


class DemoData:
    """The data of the three services. Services that share one object see each other's writes.

    Users and products are changed by their table's `put`. Orders are changed by this class only, which indexes them by user
    and by status.
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
        """The ids of the orders in a status, ascending."""
        return self._by_status[status]

    def add_order(self, user_id: int, items: Iterable[OrderItem]) -> Order:
        """Add a pending order with the next id and the current time. Does not check its arguments."""
        lines = tuple(items)
        next_id = self.orders.ids[-1] + 1
        order = Order(next_id, user_id, Status.PENDING, CURRENCY, total_of(lines), self.now(), lines)
        self.orders.put(order)
        self._index(order)
        return order

    def set_status(self, order: Order, status: Status) -> None:
        """Change the status of an order. The service checks whether that is allowed."""
        left = self._by_status[order.status]
        del left[bisect_left(left, order.id)]
        insort(self._by_status[status], order.id)
        self.orders.put(msgspec.structs.replace(order, status=status))

    def _index(self, order: Order) -> None:
        # A new order has the highest id, so both lists stay ascending.
        self._by_user[order.user_id].append(order.id)
        self._by_status[order.status].append(order.id)
