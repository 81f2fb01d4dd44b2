"""Prefetch: which loads start with their parent's, and that the run, `explain` and the plan's text agree about it."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import strawberry
from strawberry.extensions import FieldExtension

from bff.engine.answer import GraphQLResult, begin
from bff.engine.plans import Plans
from bff.gate.limits import LimitOptions
from bff.graph.context import Context
from bff.graph.loaded import Loaded, LoadedList, Prefetch
from bff.graph.loaders import Loader
from bff.upstream.caller import Caller, Deadline
from bff.upstream.reads import Read
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from schema.variants import WEB


@strawberry.type
class Product:
    id: strawberry.ID


def _loaded_field(resolver: Any, extension: FieldExtension, type: Any) -> Any:
    """A field of that type. `Any`, because Strawberry's types don't know that an extension loads by the resolver's key."""
    return strawberry.field(resolver, extensions=[extension], graphql_type=type)


def _product_key(self: Any) -> int:
    return int(self.id)


@strawberry.type
class Order:
    id: strawberry.ID
    product: Product | None = _loaded_field(_product_key, Loaded(Products.by_id, prefetch=Prefetch()), Product | None)


def _order_key(self: Any) -> int:
    return int(self.id)


def _order_key_with_info(self: Any, info: strawberry.Info) -> int:
    return int(self.id)


async def _order_key_later(self: Any) -> int:
    return int(self.id)


class LoadedByCoroutine(Loaded):
    """Takes a key from a coroutine function too, as Strawberry asks of an extension of such a field."""

    async def resolve_async(self, next_: Any, source: Any, info: Any, **kwargs: Any) -> Any:
        key = await next_(source, info)
        return await self.resolve(lambda *_: key, source, info)


def _order_field(resolver: Any, extension: type[Loaded] = Loaded) -> Any:
    """An order whose key needs only the id of the user."""
    return _loaded_field(resolver, extension(Orders.by_id, prefetch=Prefetch()), Order | None)


@strawberry.interface
class Being:
    id: strawberry.ID
    order: Order | None = _order_field(_order_key)


@strawberry.type
class User(Being):
    with_info: Order | None = _order_field(_order_key_with_info)
    later: Order | None = _order_field(_order_key_later, LoadedByCoroutine)


def _key_of_root() -> int:
    return 1


@strawberry.type
class Query:
    user: User | None = _loaded_field(_key_of_root, Loaded(Users.by_id), User | None)
    being: Being | None = _loaded_field(_key_of_root, Loaded(Users.by_id), Being | None)
    users: list[User] | None = _loaded_field(
        _key_of_root, LoadedList(Users.by_id, lambda *_: [User(id=strawberry.ID("2"))]), list[User] | None
    )
    other: User | None = _loaded_field(_key_of_root, Loaded(Products.by_id, lambda found, _: User(id=found.id)), User | None)

    @strawberry.field
    def here(self) -> User:
        return User(id=strawberry.ID("1"))


SCHEMA = strawberry.Schema(Query)._schema
TYPES: Mapping[Read, Any] = {Users.by_id: User, Orders.by_id: Order, Products.by_id: Product}


class Waves(dict[Read, Loader[int, Any]]):
    """The loaders of one request. `requests` has what was loaded, wave by wave; a wave's loads run at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[list[str]] = []
        self._done = 0
        for read, type_ in TYPES.items():
            self[read] = self._loader(read, type_)

    def _loader(self, read: Read, type_: Any) -> Loader[int, Any]:
        async def load(keys: Sequence[int]) -> Mapping[int, Any]:
            wave = self._done + 1
            self.requests += [[] for _ in range(wave - len(self.requests))]
            self.requests[wave - 1].append(read.request)
            for _ in range(10):
                await asyncio.sleep(0)
            self._done = max(self._done, wave)
            return {key: type_(id=strawberry.ID(str(key))) for key in keys}

        return Loader(load)


CASES = {
    "{ user { order { id } } }": ["order"],
    "{ user { a: order { id } b: order { id } } }": ["a", "b"],
    "{ user { order { product { id } } } }": ["order", "product"],
    "{ user { withInfo { id } } }": [],
    "{ user { withInfo { product { id } } } }": ["product"],
    "{ user { later { id } } }": [],
    "{ being { order { id } } }": [],
    "{ being { ... on User { order { product { id } } } } }": ["product"],
    "{ users { order { id } } }": [],
    "{ other { order { id } } }": [],
    "{ here { order { product { id } } } }": ["product"],
    "{ user { ...F } here { ...F } } fragment F on User { order { id } }": ["order"],
    "{ user { ...F } users { ...F } } fragment F on User { order { product { id } } }": ["order", "product", "product"],
}
"""Documents, and the response keys of what is prefetched in them."""


@pytest.mark.parametrize("document", CASES)
async def test_a_run_prefetches_where_the_plan_says_so_and_nowhere_else(document: str) -> None:
    """The waves that run are those that `explain` names, and the plan's text notes each prefetched field."""
    plans = Plans(SCHEMA, LimitOptions(), introspection=True)
    operation = plans.get(document)[0].operation(None)
    explanation = plans.explain(operation, {})
    noted = [line.split()[0].rstrip(":") for line in explanation.plan.splitlines() if "loaded with its parent" in line]
    assert noted == CASES[document]
    sources: Any = None
    loaders: Any = Waves()
    caller = Caller("request-1", "00-x", Deadline(math.inf, lambda: 0.0))
    answer = begin(operation, {}, Context(WEB, None, caller, sources, loaders))
    answer = answer if isinstance(answer, GraphQLResult) else await answer
    assert "errors" not in answer.payload
    assert answer.by == "plan"
    ran = [sorted(set(wave)) for wave in loaders.requests]
    assert ran == [sorted({asked.request for asked in wave}) for wave in explanation.waves]
