"""The reads of a source, declared as members of its class: objects by id, lists by owner, pages of all objects.

    class Orders(Source[Order]):
        path = "/orders"
        by_id = ById()
        of_user = ListBy("user_id", many="userIds", exact=("status",))
        page = CursorPages(exact=("status",))

A read describes the requests to the service. The loader that batches its keys, the arguments of the graph's fields, the
output of `explain` and the invalidation by writes follow from it. On a source that is bound to a service, the same member
sends the requests: `await orders.by_id.load(caller, [1, 2])`.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, overload

import msgspec

from bff.runtime.error_copies import again, detached
from bff.upstream.caller import Caller
from bff.upstream.errors import Mismatched, Rejected, SourceError
from bff.upstream.ids import check_key, fits_list, in_path, most_ids, read_string
from bff.upstream.records import ItemsEnvelope, PageEnvelope, R, Record, Unreadable
from bff.upstream.traffic.call import ID, Call, Mismatch, RequestedKeys, Stale

if TYPE_CHECKING:
    from bff.upstream.source import Source

MOST_ITEMS = 200
"""The largest number of items in one page."""

MOST_CALLS = 16
"""The most calls that one load makes at the same time: a single request must not take up all that a service may get."""

Filters = tuple[tuple[str, str | None], ...]
"""A read's filters and their values as text, in the order of their declaration; None for a filter that is not used."""


class ListKey(msgspec.Struct, frozen=True, gc=False):
    """The key of a list by its owner: the first `first` items, filtered."""

    owner: Any
    first: int
    filters: Filters = ()


class PageKey(msgspec.Struct, frozen=True, gc=False):
    """The key of a slice of a connection: `first` items after the cursor `after`, filtered."""

    first: int
    after: str | None = None
    filters: Filters = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """A page of a resource. In place of an item that can't be read there is its error.

    `stale_s` is its age in seconds if it is a stale cache entry, else None. `lost` is the number of unreadable items.
    """

    items: Sequence[R | SourceError]
    next_cursor: str | None
    total: int
    stale_s: float | None = None
    lost: int = 0


class BadCursor(Exception):
    """The service refused the client's cursor. Not held against the service."""


class Read:
    """A read of a source. It is declared in the body of a source's class, which gives it its name.

    Attributes:
        name: the names of the source and the read, as `orders.of_user`.
        source: the source's class.
        attribute: the read's name in the source's class.
        request: the request without values, as `GET /orders?userIds=&limit=`: for `explain`.
        keys_a_call: the largest number of keys in one call.
        by_arguments: whether fields with different arguments need separate calls.
        is_by_id: whether a key is the id of the object that is read.
        filters: the names of filters that only the service evaluates.
        exact: the names of filters by a member of the record, which the gateway checks for each item.
    """

    name = ""
    source: "type[Source[Any]]"
    attribute = ""
    keys_a_call = 1
    by_arguments = True
    is_by_id = False
    filters: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    most: int | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or '(not declared in a source)'}>"

    def declared_in(self, source: "type[Source[Any]]", attribute: str) -> Self:
        """A copy of this read for a source's class. Each subclass of a source has its own copies."""
        read = copy(self)
        read.name = f"{source.name}.{attribute}"
        read.source = source
        read.attribute = attribute
        read.check()
        return read

    def check(self) -> None:
        """Check the declaration against the record. Raises `TypeError`."""
        for name in self.exact:
            self.check_member(name)
        names = [*self.parameters(), *map(camel, (*self.filters, *self.exact))]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise TypeError(f"{self.name}: expected parameters of different names, got twice: {', '.join(twice)}")
        if self.most is not None and self.most < 1:
            raise TypeError(f"{self.name}: most: expected 1 or more, got {self.most}")

    def check_member(self, name: str) -> None:
        """Check that the record has a member of that name. Raises `TypeError`."""
        record = self.source.record
        if name not in record.__struct_fields__:
            known = ", ".join(record.__struct_fields__)
            raise TypeError(f"{self.name}: expected a member of {record.__name__} ({known}), got {name!r}")

    def parameters(self) -> tuple[str, ...]:
        """The parameters of its query that are not filters."""
        return ()

    @property
    def record(self) -> type[Record]:
        """The record type that it reads."""
        return self.source.record

    def type_of(self, member: str) -> Any:
        """The type of a member of the record."""
        return next(each.type for each in msgspec.structs.fields(self.source.record) if each.name == member)

    @property
    def request(self) -> str:
        """The request without values."""
        raise NotImplementedError

    def bind(self, source: "Source[Any]") -> Any:
        """An object that sends the requests to that source."""
        raise NotImplementedError

    def filters_from(self, given: Mapping[str, str | None]) -> Filters:
        """The filters of a key. Raises `TypeError` for one that is not declared."""
        known = (*self.filters, *self.exact)
        if unknown := given.keys() - set(known):
            expected = ", ".join(known) or "no filters"
            raise TypeError(f"{self.name}: expected {expected}, got {', '.join(sorted(unknown))}")
        return tuple((name, given.get(name)) for name in known)


class ById(Read):
    """Objects by id: `GET /orders?ids=1,2` returns `{"items": […]}`, `GET /orders/1` returns the object or 404.

    Attributes:
        many: the query parameter with the ids, joined by commas.
        most: the largest number of ids in one call; by default 200, for string ids 30.
    """

    by_arguments = False
    is_by_id = True

    def __init__(self, many: str = "ids", *, most: int | None = None) -> None:
        self.many = many
        self.most = most

    def check(self) -> None:
        """See `Read`."""
        super().check()
        self.keys_a_call = most_ids(self.type_of("id")) if self.most is None else self.most

    @property
    def request(self) -> str:
        """See `Read`."""
        return f"GET {self.source.path}?{self.many}="

    def bind(self, source: "Source[R]") -> "ReadById[R]":
        """See `Read`."""
        return ReadById(self, source)

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: "Source[R]", owner: Any) -> "ReadById[R]": ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """On the class the declaration, on a source the object that sends its requests."""
        return self if instance is None else instance.reads[self.attribute]


class ListBy(Read):
    """Lists by owner, for several owners at once: `GET /orders?userIds=1,2&limit=10` returns `{"items": […]}`.

    Attributes:
        member: the record's member with the owner's id.
        many: the query parameter with the owners' ids, joined by commas; by default the member in camel case and an `s`.
        limit: the query parameter with the largest number of items for each owner.
        exact: filters by a member of the record: an item with another value makes the reply a mismatch.
        filters: other filters, which only the service evaluates.
        most: the largest number of owners in one call; by default 200, for string ids 30.
    """

    def __init__(
        self,
        member: str,
        *,
        many: str | None = None,
        limit: str = "limit",
        exact: tuple[str, ...] = (),
        filters: tuple[str, ...] = (),
        most: int | None = None,
    ) -> None:
        self.member = member
        self.many = f"{camel(member)}s" if many is None else many
        self.limit = limit
        self.exact = exact
        self.filters = filters
        self.most = most

    def check(self) -> None:
        """See `Read`."""
        super().check()
        self.check_member(self.member)
        check_key(self.type_of(self.member), f"{self.source.record.__name__}.{self.member}")
        self.keys_a_call = most_ids(self.type_of(self.member)) if self.most is None else self.most

    def parameters(self) -> tuple[str, ...]:
        """As the base has it."""
        return self.many, self.limit

    @property
    def request(self) -> str:
        """See `Read`."""
        return f"GET {self.source.path}?{self.many}=&{self.limit}="

    # Positional only: a filter may have any name.
    def key(self, owner: Any, first: int, /, **filters: str | None) -> ListKey:
        """The key of an owner's first `first` items. Raises `TypeError` for a filter that is not declared."""
        return ListKey(owner, first, self.filters_from(filters))

    def bind(self, source: "Source[R]") -> "ReadListBy[R]":
        """See `Read`."""
        return ReadListBy(self, source)

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: "Source[R]", owner: Any) -> "ReadListBy[R]": ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """On the class the declaration, on a source the object that sends its requests."""
        return self if instance is None else instance.reads[self.attribute]


class CursorPages(Read):
    """Pages of all objects: `GET /orders?limit=20&cursor=…` returns `{"items": […], "nextCursor": …, "total": 100}`.

    Attributes:
        exact: filters by a member of the record: an item with another value makes the reply a mismatch.
        filters: other filters, which only the service evaluates.
    """

    def __init__(self, *, exact: tuple[str, ...] = (), filters: tuple[str, ...] = ()) -> None:
        self.exact = exact
        self.filters = filters

    def parameters(self) -> tuple[str, ...]:
        """As the base has it."""
        return "limit", "cursor"

    @property
    def request(self) -> str:
        """See `Read`."""
        return f"GET {self.source.path}?limit="

    def key(self, first: int, after: str | None = None, /, **filters: str | None) -> PageKey:
        """The key of a slice. Raises `TypeError` for a filter that is not declared."""
        return PageKey(first, after, self.filters_from(filters))

    def bind(self, source: "Source[R]") -> "ReadPages[R]":
        """See `Read`."""
        return ReadPages(self, source)

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: "Source[R]", owner: Any) -> "ReadPages[R]": ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """On the class the declaration, on a source the object that sends its requests."""
        return self if instance is None else instance.reads[self.attribute]


class ReadById(Generic[R]):
    """Reads objects of one source by id."""

    def __init__(self, read: ById, source: "Source[R]") -> None:
        self._source = source
        self._most = read.keys_a_call
        self._many_parameter = read.many
        self._route_of_one = f"{source.path}/{{id}}"
        self._decode_one = source.reader.read
        self._decode_items = source.reader.reader_of(ItemsEnvelope)

    async def load(self, caller: Caller, ids: Sequence[Any]) -> dict[Any, R | Stale | SourceError]:
        """The objects by id. Ids that don't exist are left out; the value of a failed id is its error.

        A `Stale` value is an old cache entry that is used because the call failed.
        """
        return await load_in_chunks(self._source, caller, list(dict.fromkeys(ids)), self._call, self._most)

    def _call(self, caller: Caller, ids: Sequence[Any]) -> Call:
        keyed = RequestedKeys(ID, tuple(ids), self._call, most_with(ids, self._most))
        if len(ids) > 1:
            query = {self._many_parameter: joined(ids)}
            return self._source.read_call(caller, query, partial(self._many, keyed.keys), keyed=keyed)
        return Call(
            "GET",
            self._route_of_one,
            f"{self._source.path}/{in_path(ids[0])}",
            caller,
            partial(self._one, ids[0]),
            identity=self._source.forward_identity,
            missing_ok=True,
            keyed=keyed,
        )

    def _one(self, id: Any, body: bytes) -> dict[Any, R | SourceError]:
        found = self._decode_one(body)
        if found.id != id:
            raise Mismatch
        return {id: found}

    def _many(self, ids: Sequence[Any], body: bytes) -> dict[Any, R | SourceError]:
        asked = set(ids)
        answers: dict[Any, R | SourceError] = {}
        all_have_their_key = True
        for item in self._decode_items(body).items:
            if isinstance(item, Unreadable):
                own = item.members.get("id")
                all_have_their_key = all_have_their_key and own is not None
                # An item without a readable id may be any of the missing objects.
                for each in (own,) if own is not None else asked - answers.keys():
                    answers.setdefault(each, item.error)
            else:
                answers[item.id] = item
        if answers.keys() <= asked:
            if all_have_their_key:
                return answers
            raise Mismatch(answers)
        raise self._mismatch({key: answer for key, answer in answers.items() if key in asked}, asked - answers.keys())

    def _mismatch(self, found: dict[Any, Any], missing: Iterable[Any]) -> Mismatch:
        """The error for a reply with objects that were not requested.

        If the call sent an identity, nothing of the reply is used. Otherwise the requested objects are used, and the missing
        ones are errors, since they may exist.
        """
        if self._source.forward_identity or not found:
            return Mismatch()
        return Mismatch(found | {key: Mismatched(self._source.name) for key in missing})


class ReadListBy(Generic[R]):
    """Reads lists of one source by owner."""

    def __init__(self, read: ListBy, source: "Source[R]") -> None:
        self._source = source
        self._read = read
        self._member = read.member
        self._decode_items = source.reader.reader_of(ItemsEnvelope)

    async def load(
        self, caller: Caller, owners: Sequence[Any], /, *, limit: int, **filters: str | None
    ) -> dict[Any, Sequence[R | SourceError] | Stale | SourceError]:
        """At most `limit` items for each owner, in the service's order.

        In place of an item that can't be read there is its error.
        """
        return await self.load_filtered(caller, owners, limit, self._read.filters_from(filters))

    async def load_filtered(self, caller: Caller, owners: Sequence[Any], limit: int, filters: Filters) -> dict[Any, Any]:
        """The same, with the filters of a key."""
        keys = list(dict.fromkeys(owners))
        call = partial(self._call, limit, filters)
        found = await load_in_chunks(self._source, caller, keys, call, self._read.keys_a_call)
        if len(found) < len(keys):  # an owner that is no id has nothing
            found = {key: found.get(key, []) for key in keys}
        return found

    def _call(self, limit: int, filters: Filters, caller: Caller, owners: Sequence[Any]) -> Call:
        narrow = partial(self._call, limit, filters)
        most = most_with(owners, self._read.keys_a_call)
        keyed = RequestedKeys((self._read.attribute, limit, filters), tuple(owners), narrow, most)
        query = {self._read.many: joined(owners), self._read.limit: str(limit), **named(filters)}
        decode = partial(self._decode, keyed.keys, limit, self._exact(filters))
        return self._source.read_call(caller, query, decode, keyed=keyed)

    def _exact(self, filters: Filters) -> list[tuple[str, str]]:
        return [(name, value) for name, value in filters if value is not None and name in self._read.exact]

    def _decode(
        self, owners: Sequence[Any], limit: int, exact: Sequence[tuple[str, str]], body: bytes
    ) -> dict[Any, list[R | SourceError]]:
        lists: dict[Any, list[R | SourceError]] = {owner: [] for owner in owners}
        is_as_asked = all_have_their_key = True
        member = self._member
        for item in self._decode_items(body).items:
            if not isinstance(item, Unreadable):
                if not append_within(lists, getattr(item, member), item, limit) or (exact and not has(item, exact)):
                    is_as_asked = False
            elif (owner := item.members.get(member)) is not None:
                is_as_asked = append_within(lists, owner, item.error, limit) and is_as_asked
            else:  # an item without a readable owner may belong to any of the owners
                all_have_their_key = False
                for owner in owners:
                    append_within(lists, owner, item.error, limit)
        if not is_as_asked:
            raise Mismatch  # nothing of it is used: an owner's list may be incomplete
        if not all_have_their_key:
            raise Mismatch(lists)
        return lists


class ReadPages(Generic[R]):
    """Reads pages of one source."""

    def __init__(self, read: CursorPages, source: "Source[R]") -> None:
        self._source = source
        self._read = read
        self._decode_page = source.reader.reader_of(PageEnvelope)

    async def load(self, caller: Caller, /, *, limit: int, cursor: str | None, **filters: str | None) -> Page[R]:
        """A page of at most `limit` (1 to 200) items after `cursor`. Raises `BadCursor`, `SourceError`."""
        known = self._read.filters_from(filters)
        query = {"limit": str(limit), "cursor": cursor, **named(known)}
        exact = [(name, value) for name, value in known if value is not None and name in self._read.exact]
        call = self._source.read_call(caller, query, partial(self._decode, limit, exact), objects=_objects)
        try:
            value = (await self._source.reply_to(call)).value
        except Rejected as error:
            if error.status == 400 and cursor is not None:
                raise BadCursor from error
            raise
        page: Page[R] = replace(value.value, stale_s=value.age_s) if isinstance(value, Stale) else value
        if page.lost:
            # The page may be cached or shared with other requests, so each request raises copies of its errors.
            page = replace(page, items=[again(item) if isinstance(item, SourceError) else item for item in page.items])
        return page

    def _decode(self, limit: int, exact: Sequence[tuple[str, str]], body: bytes) -> Page[R]:
        envelope = self._decode_page(body)
        items = [item.error if isinstance(item, Unreadable) else item for item in envelope.items[:limit]]
        if exact and not all(isinstance(item, SourceError) or has(item, exact) for item in items):
            raise Mismatch
        lost = sum(isinstance(item, Unreadable) for item in envelope.items)
        return Page(items, envelope.next_cursor, envelope.total, lost=lost)


def _objects(page: Page[Any]) -> dict[Hashable, Any]:
    """A page's objects by id."""
    return {item.id: item for item in page.items if not isinstance(item, SourceError)}


def append_within(lists: dict[Any, list[Any]], owner: Any, item: Any, limit: int) -> bool:
    """Add to an owner's list, up to `limit` items. Returns False if the owner was not requested."""
    own = lists.get(owner)
    if own is None:
        return False
    if len(own) < limit:
        own.append(item)
    return True


def has(item: Record, exact: Sequence[tuple[str, str]]) -> bool:
    """Whether the members of an item have those values, given as text."""
    for name, wanted in exact:
        value = getattr(item, name)
        if value != wanted and as_text(value) != wanted:
            return False
    return True


def as_text(value: Any) -> str:
    """A record's value as text for a query."""
    if value is True or value is False:
        return "true" if value else "false"
    return str(value.value if isinstance(value, Enum) else value)


def joined(keys: Iterable[Any]) -> str:
    """Keys for a query, joined by commas."""
    return ",".join(map(str, keys))


def named(filters: Filters) -> dict[str, str | None]:
    """Filters as query parameters, with names in camel case."""
    return {camel(name): value for name, value in filters}


def camel(name: str) -> str:
    """A Python name in camel case: `user_id` is `userId`."""
    if "_" not in name:
        return name
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def most_with(keys: Sequence[Any], most: int) -> int:
    """The most keys of a call that has these: 1 for a key that can't be in a list with others."""
    return 1 if len(keys) == 1 and not fits_list(keys[0]) else most


async def load_in_chunks(
    source: "Source[Any]",
    caller: Caller,
    keys: Sequence[Any],
    call_for: Callable[[Caller, Sequence[Any]], Call],
    most: int,
) -> dict[Any, Any]:
    """Load the keys with at most `most` in a call, and at most `MOST_CALLS` calls at the same time.

    A failed call affects only its own keys.

    A key from another service's record may be any text. No call is made for text that can't be an id.
    """

    async def guarded(chunk: Sequence[Any]) -> dict[Any, Any]:
        try:
            found: dict[Any, Any] = (await source.reply_to(call_for(caller, chunk))).value
        except SourceError as error:
            return dict.fromkeys(chunk, detached(error))
        return found

    if not keys:
        return {}
    alone: list[Any] = []
    if type(keys[0]) is str:
        known = [key for key in keys if read_string(key) is not None]
        alone = [key for key in known if not fits_list(key)]
        keys = [key for key in known if fits_list(key)] if alone else known
        if not known:
            return {}
    if len(keys) <= most and not alone:
        return await guarded(keys)
    chunks = [keys[start : start + most] for start in range(0, len(keys), most)] + [[key] for key in alone]
    merged: dict[Any, Any] = {}
    left = iter(chunks)

    async def load_next() -> None:
        for chunk in left:
            merged.update(await guarded(chunk))

    await asyncio.gather(*(load_next() for _ in range(min(len(chunks), MOST_CALLS))))
    return merged
