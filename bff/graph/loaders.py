"""The request's DataLoaders.

What a loader promises: keys asked for in one turn of the event loop are one batch; a key is asked for once a request; a
missing key is None; a failed key fails alone; a waiter that is cancelled takes nobody with it; nothing is left hanging.
In place of a value there may be a `Stale` one; what is primed from another answer is never stale.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from aiodataloader import DataLoader

from bff.graph.errors import BadUserInput
from bff.graph.pages import PageKey, PageSlice, load_slice
from bff.runtime.error_copies import again, detached
from bff.upstream.caller import Caller
from bff.upstream.errors import SourceError
from bff.upstream.source import MAX_IDS, R, Record, RestSource
from bff.upstream.traffic.call import Stale
from datasources.orders import Order, OrderStatus
from datasources.products import Product
from datasources.users import User
from schema.sources import Sources

K = TypeVar("K")
V = TypeVar("V")

Batch = Callable[[Sequence[K]], Awaitable[Mapping[K, V | Stale | Exception]]]


@dataclass(frozen=True, slots=True)
class Load:
    """How a loader asks.

    Attributes:
        source: which one.
        request: the request in general.
        keys_a_call: for how many keys at most one call asks.
        by_arguments: whether fields with other arguments are another question, and so calls of their own.
    """

    source: str
    request: str
    keys_a_call: int
    by_arguments: bool = False


LOADS: Mapping[str, Load] = {
    "user": Load("users", "GET /users?ids=", MAX_IDS),
    "order": Load("orders", "GET /orders?ids=", MAX_IDS),
    "product": Load("products", "GET /products?ids=", MAX_IDS),
    "user_orders": Load("orders", "GET /orders?userIds=&limit=", MAX_IDS, by_arguments=True),
    "users_page": Load("users", "GET /users?limit=", 1, by_arguments=True),
    "orders_page": Load("orders", "GET /orders?limit=", 1, by_arguments=True),
    "products_page": Load("products", "GET /products?limit=", 1, by_arguments=True),
}
"""The loaders' ways of asking, by name."""


@dataclass(slots=True)
class Work:
    """What the loaders of one request have under way. Once it is over, nothing new begins."""

    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    is_over: bool = False

    def end(self) -> None:
        """Stop all of it."""
        self.is_over = True
        for task in tuple(self.tasks):
            task.cancel()


class Loader(Generic[K, V]):
    """Loads by key, over a function that answers a batch of keys with a mapping; what is not in it is None.

    Two ways in, over one store: `load` for whoever has one key and waits for it (a DataLoader, made when it is needed),
    `load_batch` for whoever has collected a level's keys. What is known is in `settled`, an error in the place of what
    failed.
    """

    def __init__(self, batch: Batch[K, V], work: Work | None = None) -> None:
        self._batch = batch
        self._work = work or Work()
        self._cleared = 0
        self._singly: DataLoader[K, V | Stale | None] | None = None
        self.loaded: dict[K, V | Stale | Exception | None] = {}

    def __repr__(self) -> str:
        return f"<Loader {len(self.loaded.keys() | self._loading)} keys>"

    @property
    def _loading(self) -> "MutableMapping[Any, asyncio.Future[V | Stale | None]]":
        """What was asked for one by one, whether it has come or not."""
        return {} if self._singly is None else self._singly._cache  # noqa: SLF001 - it has no other word for it

    async def load_batch(self, keys: Sequence[K]) -> Mapping[K, V | Stale | Exception | None]:
        """Load the keys, none of which is settled, in the caller's own task; each by its value, None or error.

        An error of the batch is that of each key.
        """
        if self._work.is_over:
            raise asyncio.CancelledError
        cleared = self._cleared
        found: dict[K, V | Stale | Exception | None]
        try:
            answer = await self._batch(keys)
            found = {key: answer.get(key) for key in keys}
        except Exception as error:  # noqa: BLE001 - told to whoever asks for one of the keys
            found = dict.fromkeys(keys, detached(error) if isinstance(error, SourceError) else error)
        if self._cleared == cleared:  # else a write came in between, and what was read before it is for its waiters alone
            self.loaded.update(found)
        return found

    async def _load_singles(self, keys: list[K]) -> list[V | Stale | None]:
        """Answer each key by its value, None or error, in order. An error of the batch is that of each key."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a batch runs in a task")
        self._work.tasks.add(task)
        try:
            if self._work.is_over:
                raise asyncio.CancelledError  # noqa: TRY301 - one way out for what is cancelled
            found = await self._batch(keys)
        except asyncio.CancelledError:
            # aiodataloader would leave the waiters hanging: they go with the batch.
            for key in keys:
                future = self._loading.pop(key, None)
                if future is not None:
                    future.cancel()
            raise
        finally:
            self._work.tasks.discard(task)
        for key in keys:
            if key in self._loading:
                self.loaded.setdefault(key, found.get(key))
        return [found.get(key) for key in keys]  # type: ignore[misc] # aiodataloader takes an exception for a failed key

    def load(self, key: K) -> "asyncio.Future[V | Stale | None]":
        """A future of one's own: to cancel it cancels neither the load nor the others that wait for it."""
        if key in self.loaded:
            return _done(self.loaded[key])
        if self._singly is None:
            self._singly = DataLoader(self._load_singles)
        shared = self._singly.load(key)
        own: asyncio.Future[V | Stale | None] = asyncio.get_running_loop().create_future()
        shared.add_done_callback(partial(_pass_on, own))
        return own

    def prime(self, key: K, value: V | Stale | Exception | None) -> "Loader[K, V]":
        """What is known from elsewhere; it does not replace what was loaded."""
        if self._singly is None or key not in self._loading:
            self.loaded.setdefault(key, value)
        return self

    def clear(self, key: K) -> "Loader[K, V]":
        """Forget a key: it is asked for anew."""
        self._cleared += 1
        self.loaded.pop(key, None)
        self._loading.pop(key, None)
        return self

    def clear_all(self) -> "Loader[K, V]":
        """Forget everything."""
        self._cleared += 1
        self.loaded.clear()
        self._loading.clear()
        return self


def _done(value: Any) -> "asyncio.Future[Any]":
    future = asyncio.get_running_loop().create_future()
    if isinstance(value, Exception):
        future.set_exception(again(value))
    else:
        future.set_result(value)
    return future


def _pass_on(own: "asyncio.Future[Any]", shared: "asyncio.Future[Any]") -> None:
    """Pass a result on to one of those who wait: a copy if it is an error, since each of them raises it."""
    error = None if shared.cancelled() else shared.exception()
    if own.done():
        return
    if shared.cancelled():
        own.cancel()
    elif isinstance(error, Exception):
        own.set_exception(again(error))
    else:
        own.set_result(shared.result())


@dataclass(frozen=True, slots=True)
class UserOrdersKey:
    """A user's newest orders."""

    user_id: int
    first: int
    status: OrderStatus | None = None


class Loaders:
    """All loaders of one request, each made when it is first needed. They share nothing with those of another."""

    def __init__(self, sources: Sources, caller: Caller) -> None:
        self._sources = sources
        self._caller = caller
        self._work = Work()
        self._lists: dict[str, list[Sequence[Record | SourceError]]] = {}

    @cached_property
    def user(self) -> Loader[int, User]:
        """Users by id."""
        return self._by_id("user", self._sources.users)

    @cached_property
    def order(self) -> Loader[int, Order]:
        """Orders by id."""
        return self._by_id("order", self._sources.orders)

    @cached_property
    def product(self) -> Loader[int, Product]:
        """Products by id."""
        return self._by_id("product", self._sources.products)

    @cached_property
    def user_orders(self) -> Loader[UserOrdersKey, Sequence[Order | SourceError]]:
        """Users' newest orders."""
        return Loader(self._load_user_orders, self._work)

    @cached_property
    def users_page(self) -> Loader[PageKey, PageSlice[User]]:
        """Stretches of all users."""
        return Loader(self._pages(self._sources.users, "user"), self._work)

    @cached_property
    def orders_page(self) -> Loader[PageKey, PageSlice[Order]]:
        """Stretches of all orders."""
        return Loader(self._pages(self._sources.orders, "order"), self._work)

    @cached_property
    def products_page(self) -> Loader[PageKey, PageSlice[Product]]:
        """Stretches of the catalogue."""
        return Loader(self._pages(self._sources.products, "product"), self._work)

    def close(self) -> None:
        """Stop what is still under way: the operation it was for has ended. What was loaded is let go of."""
        self._work.end()
        for name in LOADS:
            # Loaders lead back to this object: left alone, each request would wait for the garbage collector.
            self.__dict__.pop(name, None)

    async def _load_user_orders(self, keys: Sequence[UserOrdersKey]) -> Mapping[UserOrdersKey, Any]:
        groups: dict[tuple[int, OrderStatus | None], list[UserOrdersKey]] = {}
        for key in keys:
            groups.setdefault((key.first, key.status), []).append(key)
        found: dict[UserOrdersKey, Any] = {}

        async def load(first: int, status: OrderStatus | None, group: Sequence[UserOrdersKey]) -> None:
            user_ids = [key.user_id for key in group]
            orders = await self._sources.orders.of_users(self._caller, user_ids, limit=first, status=status)
            for key in group:
                value = found[key] = orders[key.user_id]
                if not isinstance(value, SourceError | Stale):
                    self._came("order", value)

        loads = [load(first, status, group) for (first, status), group in groups.items()]
        if len(loads) == 1:
            await loads[0]
        else:
            await asyncio.gather(*loads)
        return found

    def _pages(self, source: RestSource[R], by_id: str) -> Batch[PageKey, PageSlice[R]]:
        async def load(key: PageKey) -> PageSlice[R] | Stale | Exception:
            try:
                found = await load_slice(source, self._caller, key)
            except (SourceError, BadUserInput) as error:
                return detached(error)
            if found.stale_s is not None:
                return Stale(found, found.stale_s, source.name)
            self._came(by_id, [entry.node for entry in found.entries])
            return found

        async def batch(keys: Sequence[PageKey]) -> Mapping[PageKey, PageSlice[R] | Stale | Exception]:
            if len(keys) == 1:
                return {keys[0]: await load(keys[0])}
            return dict(zip(keys, await asyncio.gather(*map(load, keys)), strict=True))

        return batch

    def _by_id(self, name: str, source: RestSource[R]) -> Loader[int, R]:
        loader: Loader[int, R] = Loader(partial(source.get_many, self._caller), self._work)
        for records in self._lists.pop(name, ()):
            _prime(loader, records)
        return loader

    def _came(self, name: str, records: Sequence[Record | SourceError]) -> None:
        """What came with a list need not be asked for again by id, should anybody ask for one by id."""
        loader = self.__dict__.get(name)
        if loader is None:
            self._lists.setdefault(name, []).append(records)
        else:
            _prime(loader, records)


def _prime(loader: Loader[int, Any], records: Sequence[Record | SourceError]) -> None:
    for record in records:
        if not isinstance(record, SourceError):
            loader.prime(record.id, record)
