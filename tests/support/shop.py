"""A shop of a few objects behind fakes of the three sources, and a way to run operations on a variant's schema.

The fakes behave as the services are documented, and record each call.
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
from graphql import ExecutionResult, GraphQLSchema, execute, parse, validate

from bff.graph.context import Context, Viewer
from bff.graph.loaders import Loaders
from bff.graph.rules import visible_records
from bff.upstream.caller import Caller, Deadline, Identity
from bff.upstream.conventions import FieldProblem, Problem
from bff.upstream.errors import Rejected, SourceError
from bff.upstream.events import BreakerState, InstanceState
from bff.upstream.loads import BadCursor, Page
from bff.upstream.reads import ById, Filters
from bff.upstream.traffic.call import Stale
from bff.upstream.traffic.stack import InstanceStatus, SourceStatus
from datasources.orders import Order, OrderItem, Orders, OrderStatus
from datasources.products import Product, Products
from datasources.users import Tier, User, Users
from schema.app import app as shop_app
from schema.rules import RULES
from schema.variants import EVERYONE as VARIANTS

BORN = datetime(2026, 1, 1, tzinfo=UTC)
NO_IDS = [
    "abc",
    "",
    "0",
    "00",
    "01",
    "-1",
    "+1",
    " 1",
    "1 ",
    "1\n",
    "1e3",
    "1.0",
    "0x1",
    "1_0",
    "9" * 30,
    "9" * 19,
    "1,2",
    "1/../2",
    "1?x=1",
    "%31",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "\N{FULLWIDTH DIGIT ONE}",
    "\N{SUPERSCRIPT TWO}",
    "\x00",
]
"""Texts that are a GraphQL `ID` and not the id of any service."""

VARIANT = {variant.name: variant for variant in VARIANTS}


def user(id: int, **members: Any) -> User:
    """A user. Members that are not given follow from the id."""
    usual: dict[str, Any] = {"id": id, "name": f"User {id}", "email": f"u{id}@example.com", "tier": Tier.PLUS}
    return User(**usual | {"created_at": BORN} | members)


def product(id: int, **members: Any) -> Product:
    """A product. Members that are not given follow from the id."""
    usual: dict[str, Any] = {
        "id": id,
        "sku": f"SKU-{id}",
        "name": f"Product {id}",
        "description": f"About {id}.",
        "price": 2.5,
        "currency": "USD",
        "stock": 3,
        "category": "toys",
        "image_url": f"https://cdn.example.com/{id}.jpg",
        "updated_at": BORN,
    }
    return Product(**usual | members)


def order(id: int, user_id: int, items: Sequence[tuple[int, int, float]] = ((1, 2, 2.5),), **members: Any) -> Order:
    """An order; its items are (product id, quantity, unit price)."""
    usual: dict[str, Any] = {
        "id": id,
        "user_id": user_id,
        "status": OrderStatus.PENDING,
        "currency": "USD",
        "total": 5.0,
        "created_at": BORN,
        "items": tuple(OrderItem(*item) for item in items),
    }
    return Order(**usual | members)


class FakeSource:
    """Objects by id. `calls` records the calls. `failure` fails all calls, `broken` single objects, `refusal` writes.

    If `stale_s` is set, all objects are stale and have this age. A call takes `turns` iterations of the event loop.
    """

    turns = 0
    by_id_read: ClassVar[ById | None] = None

    def __init__(self, name: str, records: Sequence[Any]) -> None:
        self.reads: dict[str, Any] = {
            # Looked up for each call: a test may have replaced the method.
            "by_id": SimpleNamespace(load=self._now("get_many")),
            "page": SimpleNamespace(load=self._now("page")),
        }
        self.name = name
        self.records = {record.id: record for record in records}
        self.calls: list[tuple[Any, ...]] = []
        self.failure: SourceError | None = None
        self.broken: dict[int, SourceError] = {}
        self.refusal: SourceError | None = None
        self.stale_s: float | None = None
        self.forced: BreakerState | None = None

    def _now(self, name: str) -> Callable[..., Any]:
        """Calls the method of that name, which a test may replace later."""
        return lambda *given, **named: getattr(self, name)(*given, **named)  # noqa: PLW0108 - looked up for each call

    def _answer(self, record: Any) -> Any:
        return self.broken.get(record.id, record)

    async def _take_turns(self) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)

    def _aged(self, value: Any) -> Any:
        return value if self.stale_s is None else Stale(value, self.stale_s, self.name)

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure

    async def get_many(self, caller: Caller, ids: Sequence[int]) -> dict[int, Any]:
        """The existing objects by id; a failed one is its error."""
        self.calls.append(("get_many", tuple(ids)))
        await self._take_turns()
        if self.failure is not None:
            return dict.fromkeys(ids, self.failure)
        return {key: self._aged(self._answer(self.records[key])) for key in ids if key in self.records}

    async def page(self, caller: Caller, *, limit: int, cursor: str | None, **filters: str | None) -> Page[Any]:
        """A page of the matching objects. The cursor `c3` is after the third."""
        await self._take_turns()
        self._note("page", limit, cursor, filters)
        if cursor is not None and not (cursor.startswith("c") and cursor[1:].isdecimal()):
            raise BadCursor
        matching = [record for record in self._listed() if self._matches(record, filters)]
        start = int(cursor[1:]) if cursor else 0
        end = min(start + limit, len(matching))
        next_cursor = f"c{end}" if end < len(matching) else None
        items = [self._answer(record) for record in matching[start:end]]
        return Page(items, next_cursor, len(matching), self.stale_s)

    def status(self) -> SourceStatus:
        """The status of a source with two instances, one of them unhealthy."""
        breaker = self.forced or BreakerState.HALF_OPEN
        instances = (
            InstanceStatus(1, healthy=True, weight=9, state=InstanceState.IN),
            InstanceStatus(2, healthy=False, weight=1, state=InstanceState.EJECTED),
        )
        return SourceStatus(self.name, breaker, self.forced is not None, instances)

    def drop_cache(self) -> None:
        """There is no cache."""
        self.dropped = True

    def force_breaker(self, state: BreakerState | None) -> None:
        """Record the call."""
        self.forced = state

    def _listed(self) -> list[Any]:
        return [self.records[key] for key in sorted(self.records)]

    @staticmethod
    def _matches(record: Any, filters: Mapping[str, str | None]) -> bool:
        return all(
            text.lower() in record.name.lower() if name == "search" else getattr(record, name) == text
            for name, text in filters.items()
            if text is not None
        )

    def _write(self, kind: str, id: int, key: str, **changes: Any) -> Any:
        self._note(kind, id, changes, key)
        if self.refusal is not None:
            raise self.refusal
        if id not in self.records:
            raise rejected(404, source=self.name)
        self.records[id] = msgspec.structs.replace(self.records[id], **changes)
        return self.records[id]


class FakeUsers(FakeSource):
    by_id_read = Users.by_id
    record: type = User

    async def update(self, caller: Caller, id: int, changes: dict[str, Any], *, key: str) -> User:
        return self._write("update", id, key, **changes)


class FakeProducts(FakeUsers):
    by_id_read = Products.by_id
    record = Product


class FakeOrders(FakeSource):
    by_id_read = Orders.by_id
    record: type = Order

    def __init__(self, name: str, records: Sequence[Any]) -> None:
        super().__init__(name, records)
        self.reads["of_user"] = SimpleNamespace(load_filtered=self._now("of_users"))

    def _listed(self) -> list[Any]:
        return super()._listed()[::-1]

    async def of_users(self, caller: Caller, user_ids: Sequence[int], limit: int, filters: Filters) -> dict[int, Any]:
        text = dict(filters)["status"]
        status = None if text is None else OrderStatus(text)
        self.calls.append(("of_users", tuple(user_ids), limit, status))
        await self._take_turns()
        if self.failure is not None:
            return dict.fromkeys(user_ids, self.failure)
        matching = [record for record in self._listed() if status is None or record.status is status]
        return {
            key: self._aged([self._answer(each) for each in matching if each.user_id == key][:limit]) for key in user_ids
        }

    async def place(self, caller: Caller, user_id: int, items: Sequence[tuple[int, int]], *, key: str) -> Order:
        self._note("place", user_id, tuple(items), key)
        if self.refusal is not None:
            raise self.refusal
        placed = order(max(self.records) + 1, user_id, [(product_id, quantity, 2.5) for product_id, quantity in items])
        self.records[placed.id] = placed
        return placed

    async def cancel(self, caller: Caller, id: int, *, key: str, user_id: int | None = None) -> Order:
        return self._write("cancel", id, key, status=OrderStatus.CANCELLED)

    async def update_status(self, caller: Caller, id: int, status: OrderStatus, *, key: str) -> Order:
        return self._write("update_status", id, key, status=status)


def rejected(status: int, *errors: tuple[str, str], source: str = "orders") -> Rejected:
    """A service's refusal, with the `errors` of a 422 as (field, message)."""
    return Rejected(source, status, Problem("title", "secret detail", tuple(FieldProblem(*error) for error in errors)))


@dataclass
class Answer:
    """The result of an operation: `codes` are the errors' codes by path; `partial` are the errors beside a value."""

    result: ExecutionResult
    context: Context

    @property
    def data(self) -> Any:
        """The data. Fails if there are none."""
        assert self.result.data is not None, self.result.errors
        return self.result.data

    @property
    def codes(self) -> dict[str, str]:
        """The errors' codes by path; `-` for an error without a code."""
        return {
            ".".join(map(str, error.path or ())): getattr(error.original_error, "code", "-")
            for error in self.result.errors or ()
        }

    @property
    def degraded(self) -> list[tuple[list[str | int], str, float | None]]:
        """The degraded fields: path, source, age."""
        return [(each.path, each.source, each.age_s) for each in self.context.degraded]

    @property
    def partial(self) -> list[tuple[str, list[str | int]]]:
        """The codes and paths of the items that were left out of lists."""
        return [(fault.error.code, fault.path) for fault in self.context.partial_errors]  # type: ignore[attr-defined]


class FakeSources:
    """The shop's fakes, by the classes of the sources that they replace."""

    def __init__(self, shop: "Shop") -> None:
        self._fakes: dict[type, FakeSource] = {Users: shop.users, Orders: shop.orders, Products: shop.products}

    def __getitem__(self, kind: type) -> FakeSource:
        return self._fakes[kind]

    def __iter__(self) -> Iterator[FakeSource]:
        return iter(self._fakes.values())

    def named(self, name: str) -> FakeSource | None:
        return next((each for each in self if each.name == name), None)


@dataclass
class Shop:
    """Users 1 to 3; five orders, of users 1 and 2; products 1 to 12."""

    users: FakeUsers = field(default_factory=lambda: FakeUsers("users", [user(number) for number in (1, 2, 3)]))
    orders: FakeOrders = field(
        default_factory=lambda: FakeOrders(
            "orders", [order(number, user_id) for number, user_id in enumerate((1, 1, 2, 1, 1), start=1)]
        )
    )
    products: FakeProducts = field(
        default_factory=lambda: FakeProducts("products", [product(number) for number in range(1, 13)])
    )

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        """Every call to any of the sources, source by source."""
        return list(itertools.chain(self.users.calls, self.orders.calls, self.products.calls))

    def context(self, variant: str, sub: str | None = None) -> Context:
        """The context of an operation. In admin, which requires it, viewers have the role."""
        viewer = None if sub is None else Viewer(sub, frozenset({"admin"} if variant == "admin" else ()))
        identity = None if sub is None else Identity(sub, "Bearer x")
        caller = Caller("request-1", "00-x", Deadline(math.inf, lambda: 0.0), identity)
        sources: Any = FakeSources(self)
        visible = partial(visible_records, RULES, VARIANT[variant], viewer)
        return Context(VARIANT[variant], viewer, caller, sources, Loaders(sources, caller, visible))

    async def ask(
        self, variant: str, query: str, variables: dict[str, Any] | None = None, *, sub: str | None = None
    ) -> Answer:
        """Run a valid document as the user `sub`; None is anonymous."""
        schema, document = schemas()[variant], parse(query)
        assert validate(schema, document) == []
        context = self.context(variant, sub)
        result = execute(schema, document, context_value=context, variable_values=variables or {})
        return Answer(result if isinstance(result, ExecutionResult) else await result, context)


@cache
def schemas() -> Mapping[str, GraphQLSchema]:
    """The schemas of the variants."""
    return shop_app.schemas
