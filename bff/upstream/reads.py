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

from collections.abc import Mapping
from copy import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, overload

import msgspec

from bff.upstream.conventions import Cursor, Many, OneByOne, Paging
from bff.upstream.conventions.keys import many_of
from bff.upstream.conventions.paging import MOST_ITEMS, InHeader
from bff.upstream.ids import check_key, most_ids
from bff.upstream.loads import ReadById, ReadListBy, ReadPages
from bff.upstream.records import R, Record, page_envelope

if TYPE_CHECKING:
    from bff.upstream.source import Source

_FEWEST_ITEMS = 10
"""A service with smaller pages would need too many calls."""

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
        parameter_of: the query parameters of all filters by their names.
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
    parameter_of: Mapping[str, str] = MappingProxyType({})

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
        filters = (*self.filters, *self.exact)
        self.parameter_of = {name: self.parameter(name) for name in filters}
        names = [*self.parameters(), *(self.parameter_of[name] for name in filters)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise TypeError(f"{self.name}: expected parameters of different names, got twice: {', '.join(twice)}")
        if self.most is not None and self.most < 1:
            raise TypeError(f"{self.name}: most: expected 1 or more, got {self.most}")

    def set_keys_a_call(self, many: Many, kind: Any) -> None:
        """Set the largest number of keys in one call, for keys of that type."""
        if not many.takes_many:
            self.keys_a_call = 1
        elif self.most is None:
            self.keys_a_call = most_ids(kind)
        else:
            self.keys_a_call = self.most

    def parameter(self, name: str) -> str:
        """The query parameter of a filter: as the record's member is named in JSON, else as the service's convention is.

        Slow: `parameter_of` has the names of the filters.
        """
        for each in msgspec.structs.fields(self.source.record):
            if each.name == name:
                return each.encode_name
        return self.source.conventions.naming(name)

    def named(self, filters: Filters) -> dict[str, str | None]:
        """Filters as query parameters."""
        return {self.parameter_of[name]: value for name, value in filters}

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
        many: how several ids are requested: a parameter in which they are joined by commas, or a convention (`Many`).
        most: the largest number of ids in one call; by default 200, for string ids 30.
        one: whether a single object is requested at the source's path and its id; otherwise as a list of one.
    """

    by_arguments = False
    is_by_id = True

    def __init__(self, many: str | Many = "ids", *, most: int | None = None, one: bool = True) -> None:
        self.given = many
        self.most = most
        self.one = one

    def check(self) -> None:
        """See `Read`."""
        self.many = many_of(self.given, self.name)
        super().check()
        if isinstance(self.many, OneByOne) and (self.many.parameter is not None or self.many.path is not None):
            raise TypeError(f"{self.name}: expected OneByOne(): an object is at the source's path, got {self.many!r}")
        if isinstance(self.many, OneByOne) and not self.one:
            raise TypeError(f"{self.name}: expected one=True, since there is no request for several objects")
        self.set_keys_a_call(self.many, self.type_of("id"))

    @property
    def request(self) -> str:
        """See `Read`."""
        return self.many.shown(self.source.path)

    def bind(self, source: "Source[R]") -> ReadById[R]:
        """See `Read`."""
        return ReadById(self, source)

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: "Source[R]", owner: Any) -> ReadById[R]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """On the class the declaration, on a source the object that sends its requests."""
        return self if instance is None else instance.reads[self.attribute]


class ListBy(Read):
    """Lists by owner, for several owners at once: `GET /orders?userIds=1,2&limit=10` returns `{"items": […]}`.

    Attributes:
        member: the record's member with the owner's id. Where each owner has a call of its own (`OneByOne`), the service may
            leave it out: then it is optional in the record, and gets the owner's id.
        many: how several owners are requested: a parameter in which their ids are joined by commas, or a convention
            (`Many`). By default a parameter that is named as the member in the service's way, with an `s`.
        limit: the query parameter with the largest number of items for each owner; None if the service has none.
        items: where the reply has the items; None: as the source's conventions say.
        exact: filters by a member of the record: an item with another value makes the reply a mismatch.
        filters: other filters, which only the service evaluates.
        most: the largest number of owners in one call; by default 200, for string ids 30.
    """

    def __init__(
        self,
        member: str,
        *,
        many: str | Many | None = None,
        limit: str | None = "limit",
        items: str | None = None,
        exact: tuple[str, ...] = (),
        filters: tuple[str, ...] = (),
        most: int | None = None,
    ) -> None:
        self.member = member
        self.given = many
        self.limit = limit
        self.items = items
        self.exact = exact
        self.filters = filters
        self.most = most

    def check(self) -> None:
        """See `Read`."""
        self.check_member(self.member)
        self.many = many_of(f"{self.parameter(self.member)}s" if self.given is None else self.given, self.name)
        super().check()
        if isinstance(self.many, OneByOne) and self.many.parameter is None and self.many.path is None:
            raise TypeError(f"{self.name}: expected OneByOne with a parameter or a path for the owner, got {self.many!r}")
        kind = self.type_of(self.member)
        check_key(kind, f"{self.source.record.__name__}.{self.member}")
        self.set_keys_a_call(self.many, kind)

    def parameters(self) -> tuple[str, ...]:
        """As the base has it."""
        return (*self.many.parameters(), *(() if self.limit is None else (self.limit,)))

    @property
    def request(self) -> str:
        """See `Read`."""
        shown = self.many.shown(self.source.path)
        return shown if self.limit is None else f"{shown}{'&' if '?' in shown else '?'}{self.limit}="

    # Positional only: a filter may have any name.
    def key(self, owner: Any, first: int, /, **filters: str | None) -> ListKey:
        """The key of an owner's first `first` items. Raises `TypeError` for a filter that is not declared."""
        return ListKey(owner, first, self.filters_from(filters))

    def bind(self, source: "Source[R]") -> ReadListBy[R]:
        """See `Read`."""
        return ReadListBy(self, source)

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: "Source[R]", owner: Any) -> ReadListBy[R]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """On the class the declaration, on a source the object that sends its requests."""
        return self if instance is None else instance.reads[self.attribute]


class Pages(Read):
    """Pages of all objects, as `GET /parts?limit=20&offset=40`.

    Attributes:
        by: how pages are requested, and how a reply says where the next one begins.
        total: where the reply has the length of the whole list: a path of members, `InHeader`, or None if it is not told.
        items: where the reply has the items; None: as the source's conventions say.
        largest: the largest number of items that the service puts into one page. More are read in several calls.
        exact: filters by a member of the record: an item with another value makes the reply a mismatch.
        filters: other filters, which only the service evaluates.
    """

    def __init__(
        self,
        by: Paging,
        *,
        total: str | InHeader | None = "total",
        items: str | None = None,
        largest: int = MOST_ITEMS,
        exact: tuple[str, ...] = (),
        filters: tuple[str, ...] = (),
    ) -> None:
        self.by = by
        self.total = total
        self.items = items
        self.largest = largest
        self.exact = exact
        self.filters = filters

    def check(self) -> None:
        """See `Read`."""
        super().check()
        if not _FEWEST_ITEMS <= self.largest <= MOST_ITEMS:
            raise TypeError(f"{self.name}: largest: expected {_FEWEST_ITEMS} to {MOST_ITEMS}, got {self.largest}")
        try:
            page_envelope(self.place, self.by, self.total_in_body, Any)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None

    @property
    def place(self) -> str:
        """Where a reply has the items."""
        return self.source.conventions.items if self.items is None else self.items

    @property
    def total_in_body(self) -> str | None:
        """Where the body has the length of the whole list; None if it doesn't have it."""
        return self.total if isinstance(self.total, str) else None

    def parameters(self) -> tuple[str, ...]:
        """As the base has it."""
        return self.by.parameters()

    @property
    def request(self) -> str:
        """See `Read`."""
        return f"GET {self.source.path}?{self.by.parameters()[0]}="

    def key(self, first: int, after: str | None = None, /, **filters: str | None) -> PageKey:
        """The key of a slice. Raises `TypeError` for a filter that is not declared."""
        return PageKey(first, after, self.filters_from(filters))

    def bind(self, source: "Source[R]") -> ReadPages[R]:
        """See `Read`."""
        return ReadPages(self, source)

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: "Source[R]", owner: Any) -> ReadPages[R]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """On the class the declaration, on a source the object that sends its requests."""
        return self if instance is None else instance.reads[self.attribute]


class CursorPages(Pages):
    """Pages of all objects: `GET /orders?limit=20&cursor=…` returns `{"items": […], "nextCursor": …, "total": 100}`."""

    def __init__(self, *, exact: tuple[str, ...] = (), filters: tuple[str, ...] = ()) -> None:
        super().__init__(Cursor(), exact=exact, filters=filters)
