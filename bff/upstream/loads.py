"""Sends the requests that a read declares, and reads their replies: a bound `ById`, `ListBy` or `Pages` of one source.

Everything in a reply is checked against the request: nothing that was not requested is used.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, Generic

import msgspec

from bff.runtime.error_copies import again, detached
from bff.upstream.caller import Caller
from bff.upstream.conventions.keys import Many
from bff.upstream.conventions.paging import NO_HEADERS, BadToken, InHeader, PageReply
from bff.upstream.errors import Mismatched, Rejected, SourceError
from bff.upstream.ids import in_path, read_string
from bff.upstream.records import R, Record, Unreadable
from bff.upstream.traffic.call import ID, Call, Mismatch, RequestedKeys, Stale

if TYPE_CHECKING:
    from bff.upstream.reads import ById, Filters, ListBy, Pages
    from bff.upstream.source import Source

MOST_CALLS = 16
"""The most calls that one load makes at the same time: a single request must not take up all that a service may get."""

_MOST_DIGITS = 9
"""Of a total: more would be beyond GraphQL's `Int`."""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """A page of a resource. In place of an item that can't be read there is its error.

    `total` is None if the service doesn't tell it. `stale_s` is its age in seconds if it is a stale cache entry, else None.
    `lost` is the number of unreadable items.
    """

    items: Sequence[R | SourceError]
    next_cursor: str | None
    total: int | None
    stale_s: float | None = None
    lost: int = 0


class BadCursor(Exception):
    """The service refused the client's cursor. Not held against the service."""


class ReadById(Generic[R]):
    """Reads objects of one source by id."""

    def __init__(self, read: "ById", source: "Source[R]") -> None:
        self._source = source
        self._most = read.keys_a_call
        self._way = read.many
        self._reads_one = read.one
        self._route_of_one = f"{source.path}/{{id}}"
        self._decode_one = source.reader.one
        self._decode_items = source.reader.items(source.conventions.items)
        self._none_is_404 = source.conventions.none_is_404

    async def load(self, caller: Caller, ids: Sequence[Any]) -> dict[Any, R | Stale | SourceError]:
        """The objects by id. Ids that don't exist are left out; the value of a failed id is its error.

        A `Stale` value is an old cache entry that is used because the call failed.
        """
        return await load_in_chunks(self._source, caller, list(dict.fromkeys(ids)), self._call, self._most, self._way)

    def _call(self, caller: Caller, ids: Sequence[Any]) -> Call:
        keyed = RequestedKeys(ID, tuple(ids), self._call, most_with(ids, self._most, self._way))
        if len(ids) > 1 or not self._reads_one:
            decode = partial(self._many, keyed.keys)
            request = self._way.request(ids)
            return self._source.read_call(caller, request.query, decode, request, keyed=keyed, missing_ok=self._none_is_404)
        return Call(
            "GET",
            self._route_of_one,
            f"{self._source.path}/{in_path(ids[0])}",
            caller,
            partial(self._one, ids[0]),
            identity=self._source.forward_identity,
            missing_ok=True,
            keyed=keyed,
            conventions=self._source.conventions,
            forwarded=self._source.forwarded(caller),
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
        for item in self._decode_items(body):
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

    def __init__(self, read: "ListBy", source: "Source[R]") -> None:
        self._source = source
        self._read = read
        self._member = read.member
        self._way = read.many
        self._decode_items = source.reader.items(source.conventions.items if read.items is None else read.items)
        self._none_is_404 = source.conventions.none_is_404

    async def load(
        self, caller: Caller, owners: Sequence[Any], /, *, limit: int, **filters: str | None
    ) -> dict[Any, Sequence[R | SourceError] | Stale | SourceError]:
        """At most `limit` items for each owner, in the service's order.

        In place of an item that can't be read there is its error.
        """
        return await self.load_filtered(caller, owners, limit, self._read.filters_from(filters))

    async def load_filtered(self, caller: Caller, owners: Sequence[Any], limit: int, filters: "Filters") -> dict[Any, Any]:
        """The same, with the filters of a key."""
        keys = list(dict.fromkeys(owners))
        call = partial(self._call, limit, filters)
        found = await load_in_chunks(self._source, caller, keys, call, self._read.keys_a_call, self._way)
        if len(found) < len(keys):  # an owner that is no id has nothing
            found = {key: found.get(key, []) for key in keys}
        return found

    def _call(self, limit: int, filters: "Filters", caller: Caller, owners: Sequence[Any]) -> Call:
        narrow = partial(self._call, limit, filters)
        most = most_with(owners, self._read.keys_a_call, self._way)
        keyed = RequestedKeys((self._read.attribute, limit, filters), tuple(owners), narrow, most)
        request = self._way.request(owners)
        query = dict(request.query)
        if self._read.limit is not None:
            query[self._read.limit] = str(limit)
        query.update(self._read.named(filters))
        decode = partial(self._decode, keyed.keys, limit, self._exact(filters))
        return self._source.read_call(caller, query, decode, request, keyed=keyed, missing_ok=self._none_is_404)

    def _exact(self, filters: "Filters") -> list[tuple[str, str]]:
        return [(name, value) for name, value in filters if value is not None and name in self._read.exact]

    def _decode(
        self, owners: Sequence[Any], limit: int, exact: Sequence[tuple[str, str]], body: bytes
    ) -> dict[Any, list[R | SourceError]]:
        lists: dict[Any, list[R | SourceError]] = {owner: [] for owner in owners}
        is_as_asked = all_have_their_key = True
        member = self._member
        of_one = owners[0] if not self._way.takes_many else None
        for item in self._decode_items(body):
            if not isinstance(item, Unreadable):
                owner = getattr(item, member)
                if owner is None and of_one is not None:  # the request had no other owner
                    owner, item = of_one, msgspec.structs.replace(item, **{member: of_one})  # noqa: PLW2901
                if not append_within(lists, owner, item, limit) or (exact and not has(item, exact)):
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

    def __init__(self, read: "Pages", source: "Source[R]") -> None:
        self._source = source
        self._read = read
        self._by = read.by
        self._largest = read.largest
        total = read.total
        self._total_header = total.name.lower() if isinstance(total, InHeader) else None
        self._needs_headers = self._total_header is not None or read.by.reads_headers
        self._decode_page = source.reader.pages(read.place, read.by, read.total_in_body)

    async def load(self, caller: Caller, /, *, limit: int, cursor: str | None, **filters: str | None) -> Page[R]:
        """At most `limit` (1 to 200) items after `cursor`: one page, or several if the service's pages are smaller.

        Raises `BadCursor`, `SourceError`.
        """
        known = self._read.filters_from(filters)
        page = await self._load_page(caller, min(limit, self._largest), cursor, known)
        for _ in range(1, ceil(limit / self._largest)):  # a service could go on with short pages without an end
            if len(page.items) >= limit or page.next_cursor is None:
                break
            more = await self._load_page(caller, min(limit - len(page.items), self._largest), page.next_cursor, known)
            page = joined(page, more)
        return page

    async def _load_page(self, caller: Caller, limit: int, cursor: str | None, known: "Filters") -> Page[R]:
        try:
            request = self._by.request(cursor, limit, self._largest)
        except BadToken as error:
            raise BadCursor from error
        exact = [(name, value) for name, value in known if value is not None and name in self._read.exact]
        query = {**request.query, **self._read.named(known)}
        decode = partial(self._decode, cursor, request.skip, limit, request.size, exact)
        call = self._source.read_call(caller, query, decode, objects=_objects, reads_headers=self._needs_headers)
        try:
            value = (await self._source.reply_to(call)).value
        except Rejected as error:
            if cursor is not None and error.status in self._by.unknown:
                raise BadCursor from error
            raise
        page: Page[R] = replace(value.value, stale_s=value.age_s) if isinstance(value, Stale) else value
        if page.lost:
            # The page may be cached or shared with other requests, so each request raises copies of its errors.
            page = replace(page, items=[again(item) if isinstance(item, SourceError) else item for item in page.items])
        return page

    def _decode(
        self,
        cursor: str | None,
        skip: int,
        limit: int,
        size: int,
        exact: Sequence[tuple[str, str]],
        body: bytes,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Page[R]:
        found, following, total = self._decode_page(body)
        wanted = found[skip:] if skip else found
        items = [item.error if isinstance(item, Unreadable) else item for item in wanted[:limit]]
        if exact and not all(isinstance(item, SourceError) or has(item, exact) for item in items):
            raise Mismatch
        if self._total_header is not None:
            total = _total_in(headers.get(self._total_header, ""))
        last = items[-1] if items else None
        last_id = None if last is None or isinstance(last, SourceError) else str(last.id)
        reply = PageReply(len(wanted), len(items), len(found) >= size, following, total, last_id, headers)
        lost = sum(isinstance(item, Unreadable) for item in wanted)
        return Page(items, self._by.following(cursor, reply), total, lost=lost)


def joined(page: Page[R], more: Page[R]) -> Page[R]:
    """Two pages that follow each other, as one."""
    ages = [each for each in (page.stale_s, more.stale_s) if each is not None]
    items = [*page.items, *more.items]
    return Page(items, more.next_cursor, page.total, max(ages, default=None), page.lost + more.lost)


def _total_in(text: str) -> int:
    """The number in a header. Raises `ValueError`."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise ValueError("expected a number")
    return int(text)


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


def most_with(keys: Sequence[Any], most: int, way: Many) -> int:
    """The most keys of a call that has these: 1 for a key that can't be in a call with others."""
    return 1 if len(keys) == 1 and not way.fits(keys[0]) else most


async def load_in_chunks(
    source: "Source[Any]",
    caller: Caller,
    keys: Sequence[Any],
    call_for: Callable[[Caller, Sequence[Any]], Call],
    most: int,
    way: Many,
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
        alone = [key for key in known if not way.fits(key)]
        keys = [key for key in known if way.fits(key)] if alone else known
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
