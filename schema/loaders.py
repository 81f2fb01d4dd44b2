"""The request's DataLoaders, and the field that is loaded by key.

A relation's resolver returns a key; the field's extension loads it. So resolvers stay one line, and whoever executes the
operation may collect a level's keys and hand them over as one batch.

What a loader promises: keys asked for in one turn of the event loop are one batch; a key is asked for once a request; a
missing key is None; a failed key fails alone; a waiter that is cancelled takes nobody with it; nothing is left hanging.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiodataloader import DataLoader
from strawberry.extensions import FieldExtension

from datasources.caller import Caller
from datasources.errors import SourceError
from datasources.orders import Order, OrderStatus
from datasources.products import Product
from datasources.rest import MAX_LIMIT, BadCursor, Page, R, RestSource
from datasources.users import User
from schema.context import Context, Info, PartialError, Sources
from schema.cursors import Position
from schema.errors import BadUserInput

K = TypeVar("K")
V = TypeVar("V")

Batch = Callable[[Sequence[K]], Awaitable[Mapping[K, V | Exception]]]


class Loader(DataLoader[K, V | None], Generic[K, V]):
    """A DataLoader over a function that answers a batch of keys with a mapping; what is not in it is None."""

    def __init__(self, batch: Batch[K, V]) -> None:
        super().__init__()
        self._batch = batch

    def __repr__(self) -> str:
        return f"<Loader {len(self._cache)} keys>"

    async def batch_load_fn(self, keys: list[K]) -> list[V | None]:
        """Answer each key by its value, None or error, in order. An error of the batch is that of each key."""
        try:
            found = await self._batch(keys)
        except asyncio.CancelledError:
            # aiodataloader would leave the waiters hanging: they go with the batch.
            for key in keys:
                future = self._cache.pop(key, None)
                if future is not None:
                    future.cancel()
            raise
        return [found.get(key) for key in keys]  # type: ignore[misc] # aiodataloader takes an exception for a failed key

    def load(self, key: K) -> "asyncio.Future[V | None]":
        """A future of one's own: to cancel it cancels neither the load nor the others that wait for it."""
        shared = super().load(key)
        if shared.done() and not shared.cancelled():
            return shared
        return asyncio.shield(shared)

    def replace(self, key: K, value: V) -> None:
        """From now on the key has that value: after a write."""
        self.clear(key)
        self.prime(key, value)


@dataclass(frozen=True, slots=True)
class UserOrdersKey:
    """A user's newest orders."""

    user_id: int
    first: int
    status: OrderStatus | None = None


@dataclass(frozen=True, slots=True)
class PageKey:
    """A stretch of a connection: `first` items behind `after`."""

    first: int
    after: str | None = None
    filters: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry(Generic[R]):
    """An item of a connection, with the cursor to continue behind it. `node` is an error where it could not be read."""

    cursor: str
    node: R | SourceError


@dataclass(frozen=True, slots=True)
class Stretch(Generic[R]):
    """What a connection shows: `first` items or fewer, and whether there are more."""

    entries: Sequence[Entry[R]]
    has_next: bool
    has_previous: bool
    total: int


class Loaders:
    """All loaders of one request. They share nothing with those of another."""

    def __init__(self, sources: Sources, caller: Caller) -> None:
        self._sources = sources
        self._caller = caller
        self.user: Loader[int, User] = Loader(lambda ids: sources.users.get_many(caller, ids))
        self.order: Loader[int, Order] = Loader(lambda ids: sources.orders.get_many(caller, ids))
        self.product: Loader[int, Product] = Loader(lambda ids: sources.products.get_many(caller, ids))
        self.user_orders: Loader[UserOrdersKey, Sequence[Order | SourceError]] = Loader(self._load_user_orders)
        self.users_page: Loader[PageKey, Stretch[User]] = Loader(self._pages(sources.users, self.user))
        self.orders_page: Loader[PageKey, Stretch[Order]] = Loader(self._pages(sources.orders, self.order))
        self.products_page: Loader[PageKey, Stretch[Product]] = Loader(self._pages(sources.products, self.product))

    async def _load_user_orders(self, keys: Sequence[UserOrdersKey]) -> Mapping[UserOrdersKey, Any]:
        groups: dict[tuple[int, OrderStatus | None], list[UserOrdersKey]] = {}
        for key in keys:
            groups.setdefault((key.first, key.status), []).append(key)
        found: dict[UserOrdersKey, Any] = {}

        async def load(first: int, status: OrderStatus | None, group: Sequence[UserOrdersKey]) -> None:
            user_ids = [key.user_id for key in group]
            orders = await self._sources.orders.of_users(self._caller, user_ids, limit=first, status=status)
            for key in group:
                value = orders[key.user_id]
                found[key] = value
                if not isinstance(value, SourceError):
                    self._prime(self.order, value)

        await asyncio.gather(*(load(first, status, group) for (first, status), group in groups.items()))
        return found

    def _pages(self, source: RestSource[R], by_id: Loader[int, R]) -> Batch[PageKey, Stretch[R]]:
        async def load(key: PageKey) -> Stretch[R] | Exception:
            try:
                stretch = await stretch_of(source, self._caller, key)
            except (SourceError, BadUserInput) as error:
                return error
            self._prime(by_id, [entry.node for entry in stretch.entries])
            return stretch

        async def batch(keys: Sequence[PageKey]) -> Mapping[PageKey, Stretch[R] | Exception]:
            return dict(zip(keys, await asyncio.gather(*map(load, keys)), strict=True))

        return batch

    @staticmethod
    def _prime(by_id: Loader[int, R], records: Sequence[R | SourceError]) -> None:
        """What came with a list need not be asked for again by id."""
        for record in records:
            if not isinstance(record, SourceError):
                by_id.prime(record.id, record)


async def stretch_of(source: RestSource[R], caller: Caller, key: PageKey) -> Stretch[R]:
    """`key.first` items behind `key.after`, in one call, or in two where the cursor lies far inside a page.

    Raises `BadUserInput` for a cursor that is none, `SourceError`.
    """
    start = Position.decode(key.after)
    filters = dict(key.filters)
    try:
        page = await source.page(caller, limit=min(start.skip + key.first, MAX_LIMIT), cursor=start.page, **filters)
        entries = _entries(page, start)
        following = page
        if len(entries) < key.first and page.next_cursor is not None:
            # A service may end its page before the place where it ended it last: then there is more to skip.
            rest = Position(page.next_cursor, max(start.skip - len(page.items), 0))
            limit = min(rest.skip + key.first - len(entries), MAX_LIMIT)
            following = await source.page(caller, limit=limit, cursor=rest.page, **filters)
            entries += _entries(following, rest)
    except BadCursor as error:
        raise BadUserInput("after: this is no cursor of this connection.") from error
    return Stretch(entries, following.next_cursor is not None, key.after is not None, page.total)


def _entries(page: Page[R], start: Position) -> list[Entry[R]]:
    """The page's items behind `start`. The last one's cursor is the service's own, where it gave one."""
    entries = [
        Entry(Position(start.page, number).encode(), item)
        for number, item in enumerate(page.items, start=1)
        if number > start.skip
    ]
    if entries and page.next_cursor is not None:
        entries[-1] = Entry(Position(page.next_cursor).encode(), entries[-1].node)
    return entries


class Loaded(FieldExtension):
    """The field's resolver returns a key, or None; its value is what the loader of that name has for it.

    Attributes:
        loader: the name of one of `Loaders`.
        show: makes the field's value of what was loaded; a pure function of it and the context. What is None stays so.
    """

    def __init__(self, loader: str, show: Callable[[Any, Context], Any] | None = None) -> None:
        self.loader = loader
        self.show = show

    def resolve(self, next_: Callable[..., Any], source: Any, info: Info, **kwargs: Any) -> Any:
        """The loader's future; or a coroutine, where the value is to be made of it first."""
        key = next_(source, info, **kwargs)
        if key is None:
            return None
        loading = getattr(info.context.loaders, self.loader).load(key)
        return loading if self.show is None else self._shown(loading, info)

    async def _shown(self, loading: Awaitable[Any], info: Info) -> Any:
        value = await loading
        return None if value is None or self.show is None else self.show(value, info.context)


class LoadedList(Loaded):
    """As `Loaded`, for a list. An item that failed is left out and told in `errors`, so that it costs nothing but itself."""

    async def _shown(self, loading: Awaitable[Any], info: Info) -> Any:
        value = await super()._shown(loading, info) if self.show else await loading
        if value is None:
            return None
        failed = [item for item in value if isinstance(item, Exception)]
        if not failed:
            return value
        path = info.path.as_list()
        info.context.partial_errors.extend(PartialError(error, path) for error in failed)
        return [item for item in value if not isinstance(item, Exception)]

    def resolve(self, next_: Callable[..., Any], source: Any, info: Info, **kwargs: Any) -> Any:
        """A coroutine of the list."""
        key = next_(source, info, **kwargs)
        return None if key is None else self._shown(getattr(info.context.loaders, self.loader).load(key), info)
