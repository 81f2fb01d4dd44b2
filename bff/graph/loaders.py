"""The loaders of one operation: one for each read of a source, made on first use.

Keys that are requested in one iteration of the event loop are loaded as one batch. A key is loaded once an operation. A
missing key is None. A failed key does not affect the others. Cancelling one waiter does not affect the others. Every waiter
gets a result, an error or a cancellation. A value may be `Stale`; values that are primed from other replies never are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from aiodataloader import DataLoader

from bff.graph.errors import BadUserInput
from bff.graph.pages import Entry, PageSlice, load_slice
from bff.graph.sources import Sources
from bff.runtime.error_copies import again, detached
from bff.upstream.caller import Caller
from bff.upstream.errors import SourceError
from bff.upstream.reads import ById, ListBy, ListKey, PageKey, Pages, Read
from bff.upstream.records import Record
from bff.upstream.source import Source
from bff.upstream.traffic.call import Stale

K = TypeVar("K")
V = TypeVar("V")

Batch = Callable[[Sequence[K]], Awaitable[Mapping[K, V | Stale | Exception]]]

Visible = Callable[[Any], bool]
"""Whether the viewer may see a record."""


@dataclass(slots=True)
class Work:
    """The running loads of one operation. Once it is over, no new load starts."""

    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    is_over: bool = False

    def end(self) -> None:
        """Cancel the running loads."""
        self.is_over = True
        for task in tuple(self.tasks):
            task.cancel()


class Loader(Generic[K, V]):
    """Loads values by key, with a function from a batch of keys to a mapping. Keys that are not in the mapping are None.

    There are two ways to load, over one store: `load` takes one key and returns a future (by a DataLoader, made on first
    use), `load_batch` takes the collected keys of a level. `loaded` has the results; a failed key's is its error.
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
        """The futures of keys that were requested one by one, done or not."""
        return {} if self._singly is None else self._singly._cache  # noqa: SLF001 - it has no public name

    async def load_batch(self, keys: Sequence[K]) -> Mapping[K, V | Stale | Exception | None]:
        """Load keys that are not in `loaded`, in the caller's own task. Returns each key's value, None or error.

        If the batch fails, each key has its error.
        """
        if self._work.is_over:
            raise asyncio.CancelledError
        cleared = self._cleared
        found: dict[K, V | Stale | Exception | None]
        try:
            answer = await self._batch(keys)
            found = {key: answer.get(key) for key in keys}
        except Exception as error:  # noqa: BLE001 - it is the result of each key
            found = dict.fromkeys(keys, detached(error) if isinstance(error, SourceError) else error)
        if self._cleared == cleared:  # otherwise a write happened meanwhile: the result is outdated, so it is not stored
            self.loaded.update(found)
        return found

    async def _load_singles(self, keys: list[K]) -> list[V | Stale | None]:
        """Each key's value, None or error, in order. If the batch fails, each key has its error."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a batch runs in a task")
        self._work.tasks.add(task)
        try:
            if self._work.is_over:
                raise asyncio.CancelledError  # noqa: TRY301 - cancellations are handled in one place
            found = await self._batch(keys)
        except asyncio.CancelledError:
            # aiodataloader would leave the waiters hanging, so they are cancelled with the batch.
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
        """A new future of the key's value. Cancelling it cancels neither the load nor other waiters."""
        if key in self.loaded:
            return _done(self.loaded[key])
        if self._singly is None:
            self._singly = DataLoader(self._load_singles)
        shared = self._singly.load(key)
        own: asyncio.Future[V | Stale | None] = asyncio.get_running_loop().create_future()
        shared.add_done_callback(partial(_pass_on, own))
        return own

    def prime(self, key: K, value: V | Stale | Exception | None) -> "Loader[K, V]":
        """Store a value from another reply, unless the key is loaded or loading."""
        if self._singly is None or key not in self._loading:
            self.loaded.setdefault(key, value)
        return self

    def clear(self, key: K) -> "Loader[K, V]":
        """Forget a key: it is loaded again when it is next requested."""
        self._cleared += 1
        self.loaded.pop(key, None)
        self._loading.pop(key, None)
        return self

    def clear_all(self) -> "Loader[K, V]":
        """Forget all keys."""
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
    """Set a waiter's future from the shared one. An error is copied, because each waiter raises it."""
    error = None if shared.cancelled() else shared.exception()
    if own.done():
        return
    if shared.cancelled():
        own.cancel()
    elif isinstance(error, Exception):
        own.set_exception(again(error))
    else:
        own.set_result(shared.result())


class Loaders(dict[Read, Loader[Any, Any]]):
    """All loaders of one operation: `loaders[Orders.by_id]`. They share nothing with those of another operation.

    `visible` makes, by record, the checks whether the viewer may see an object: when the first loader is used, since many
    operations load nothing. An object that the viewer may not see is treated as missing: None by its id, left out of lists,
    null in a connection.
    """

    def __init__(
        self, sources: Sources, caller: Caller, visible: Callable[[], Mapping[type[Record], Visible]] = dict
    ) -> None:
        super().__init__()
        self._sources = sources
        self._caller = caller
        self._make_visible = visible
        self._visible: Mapping[type[Record], Visible] | None = None
        self._work = Work()
        self._primed: dict[ById, list[Sequence[Record | SourceError]]] = {}

    def __missing__(self, read: Read) -> Loader[Any, Any]:
        source = self._sources[read.source]
        visible = self._rule_for(read.record)
        make_batch = next(BATCHES[kind] for kind in type(read).__mro__ if kind in BATCHES)
        batch = make_batch(self, source, source.reads[read.attribute], visible)
        loader: Loader[Any, Any] = Loader(batch, self._work)
        self[read] = loader
        if isinstance(read, ById):
            for records in self._primed.pop(read, ()):
                prime_all(loader, records)
        return loader

    def _rule_for(self, record: type[Record]) -> Visible | None:
        """Whether the viewer may see a record of that type: a rule for a type holds for its subclasses. None if all may."""
        if self._visible is None:
            self._visible = self._make_visible()
        if not self._visible:
            return None
        rules = [visible for kind, visible in self._visible.items() if issubclass(record, kind)]
        if len(rules) < 2:
            return rules[0] if rules else None
        return lambda each: all(visible(each) for visible in rules)

    def may_see(self, record: Record) -> bool:
        """Whether the viewer may see a record."""
        visible = self._rule_for(type(record))
        return visible is None or visible(record)

    @property
    def caller(self) -> Caller:
        """The request that the loads belong to."""
        return self._caller

    def close(self) -> None:
        """Cancel the running loads and drop all results, because the operation has ended."""
        self._work.end()
        # Loaders refer to this object. Without this, only the garbage collector would free each operation's objects.
        self.clear()

    def forget(self, source: type[Source[Any]], id: Any = None) -> None:
        """Forget what was loaded from a source, because a write has changed it.

        With an `id`, only that object is forgotten, and all lists and pages. Without, everything is.
        """
        for read in source.declared:
            if isinstance(read, ById):
                self._primed.pop(read, None)  # lists that came before the write, for a loader that is not made yet
            loader = self.get(read)
            if loader is not None:
                if id is not None and isinstance(read, ById):
                    loader.clear(id)
                else:
                    loader.clear_all()

    def prime_from_list(self, source: Source[Any], records: Sequence[Record | SourceError]) -> None:
        """Prime the loader by id with the objects of a list, so that they are not loaded again."""
        read = type(source).by_id_read  # of the class: on an instance, it would be the object that sends requests
        if read is None:
            return
        loader = self.get(read)
        if loader is None:
            self._primed.setdefault(read, []).append(records)
        else:
            prime_all(loader, records)


def prime_all(loader: Loader[Any, Any], records: Iterable[Record | SourceError]) -> None:
    """Put records into a loader by their ids."""
    for record in records:
        if not isinstance(record, SourceError):
            loader.prime(record.id, record)


def by_id_batch(loaders: Loaders, _: Source[Any], reads: Any, visible: Visible | None) -> Batch[Any, Any]:
    """The batch function of objects by id."""
    load: Batch[Any, Any] = partial(reads.load, loaders.caller)
    if visible is None:
        return load

    async def load_visible(ids: Sequence[Any]) -> Mapping[Any, Any]:
        shown = {key: found for key, found in (await load(ids)).items() if may_show(found, visible)}
        if len(shown) < len(ids):
            # Else `Cache-Control` would tell a hidden record, whose reply may be cached, from a missing one.
            loaders.caller.freshness.forbid()
        return shown

    return load_visible


def list_batch(loaders: Loaders, source: Source[Any], reads: Any, visible: Visible | None) -> Batch[ListKey, Any]:
    """The batch function of lists by owner: keys with the same length and filters are loaded together."""

    async def load(first: int, filters: Any, keys: Sequence[ListKey], found: dict[ListKey, Any]) -> None:
        lists = await reads.load_filtered(loaders.caller, [key.owner for key in keys], first, filters)
        for key in keys:
            value = lists.get(key.owner, ())  # nothing is loaded for an owner that no service could have
            if isinstance(value, SourceError):
                found[key] = value
                continue
            is_stale = type(value) is Stale
            items = value.value if is_stale else value
            if visible is not None:
                items = [item for item in items if isinstance(item, Exception) or visible(item)]
            if is_stale:
                found[key] = value if visible is None else Stale(items, value.age_s, value.source)
            else:
                found[key] = items
                loaders.prime_from_list(source, items)

    async def batch(keys: Sequence[ListKey]) -> Mapping[ListKey, Any]:
        groups: dict[Any, list[ListKey]] = {}
        for key in keys:
            groups.setdefault((key.first, key.filters), []).append(key)
        found: dict[ListKey, Any] = {}
        loads = [load(first, filters, group, found) for (first, filters), group in groups.items()]
        if len(loads) == 1:
            await loads[0]
        else:
            await asyncio.gather(*loads)
        return found

    return batch


def page_batch(loaders: Loaders, source: Source[Any], reads: Any, visible: Visible | None) -> Batch[PageKey, Any]:
    """The batch function of slices of a connection: each is loaded by its own calls."""

    async def load(key: PageKey) -> PageSlice[Any] | Stale | Exception:
        try:
            found = await load_slice(reads, loaders.caller, key)
        except (SourceError, BadUserInput) as error:
            return detached(error)
        if visible is not None:
            entries = [each if may_show(each.node, visible) else Entry(each.page, each.skip, None) for each in found.entries]
            found = PageSlice(entries, found.has_next, found.has_previous, found.total, found.stale_s)
        if found.stale_s is not None:
            return Stale(found, found.stale_s, source.name)
        loaders.prime_from_list(source, [entry.node for entry in found.entries if entry.node is not None])
        return found

    async def batch(keys: Sequence[PageKey]) -> Mapping[PageKey, PageSlice[Any] | Stale | Exception]:
        if len(keys) == 1:
            return {keys[0]: await load(keys[0])}
        return dict(zip(keys, await asyncio.gather(*map(load, keys)), strict=True))

    return batch


def may_show(value: Any, visible: Visible) -> bool:
    """Whether the viewer may see a record, which may be stale. Errors are always shown."""
    if isinstance(value, Exception):
        return True
    return visible(value.value if type(value) is Stale else value)


BATCHES: Mapping[type[Read], Callable[[Loaders, Source[Any], Any, Visible | None], Batch[Any, Any]]] = {
    ById: by_id_batch,
    ListBy: list_batch,
    Pages: page_batch,
}
"""For each kind of read, the function that makes its batch function."""
