"""The base of all sources: what rest.md promises of every resource (one, many by id, a page, a write), typed.

An object that doesn't fit its record costs itself alone: it stands as a `BadAnswer` where the record would have stood.
"""

import asyncio
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar
from urllib.parse import quote_plus

import msgspec

from bff.runtime.error_copies import again, detached
from bff.upstream.caller import Caller
from bff.upstream.errors import BadAnswer, Mismatched, Rejected, SourceError
from bff.upstream.events import BreakerState
from bff.upstream.traffic.call import ID, Call, Mismatch, Reply, RequestedKeys, Stale
from bff.upstream.traffic.freshness import for_clients, usable
from bff.upstream.traffic.stack import SourceStatus

MAX_IDS = 200
"""So many ids a batch call takes at most; more go out as several calls at once."""

MAX_LIMIT = 200
"""So many items a page has at most."""


class Record(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The base of all records: an object with an id, of whose members only those we use are named.

    Plain data, in which nothing leads back to itself: the garbage collector need not look at it.
    """

    id: int


Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset, as RFC 3339 has it. One without could be any of two dozen."""

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""The range of GraphQL's `Int` (GraphQL specification, section 3.5.1). Checked here, so that a number beyond it is a bad
answer of the service and not a fault of the gateway."""

R = TypeVar("R", bound=Record)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """A page of a resource. An item that could not be read stands in its place as the error it is.

    `stale_s` is its age where it is past its time and nothing better could be had, else None. `lost` is the number of
    unreadable items.
    """

    items: Sequence[R | SourceError]
    next_cursor: str | None
    total: int
    stale_s: float | None = None
    lost: int = 0


class _Envelope(msgspec.Struct, Generic[T], rename="camel"):
    items: list[T]


class _PageEnvelope(msgspec.Struct, Generic[T], rename="camel"):
    items: list[T]
    next_cursor: str | None
    total: Int32


class Transport(Protocol):
    """The way to a service under all its policies: `traffic.stack.Stack`."""

    async def __call__(self, call: Call) -> Reply:
        """Make the call. Raises `SourceError`."""
        ...

    def status(self) -> SourceStatus:
        """The source's present state."""
        ...

    def force_breaker(self, state: BreakerState | None) -> None:
        """Hold the breaker open or closed; None lets it be."""
        ...

    def drop_cache(self) -> None:
        """Forget what is kept."""
        ...


class RestSource(Generic[R]):
    """One resource of one service. A subclass names it and adds what rest.md adds for it."""

    name: ClassVar[str]
    path: ClassVar[str]
    record: type[R]
    exact: ClassVar[frozenset[str]] = frozenset()
    """Filters of a page by a member of the record: each row must have exactly the filter's value."""

    def __init__(self, transport: Transport, *, forward_identity: bool) -> None:
        self._transport = transport
        self._forward_identity = forward_identity
        self._route_of_one = f"{self.path}/{{id}}"
        self._decode_one: Callable[[bytes], R] = msgspec.json.Decoder(self.record).decode
        self._decode_items = self._tolerant(_Envelope)
        self._decode_page = self._tolerant(_PageEnvelope)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._transport!r}>"

    def status(self) -> SourceStatus:
        """The source's breaker and instances."""
        return self._transport.status()

    def force_breaker(self, state: BreakerState | None) -> None:
        """Hold the breaker open or closed; None lets it be."""
        self._transport.force_breaker(state)

    def drop_cache(self) -> None:
        """Forget what is kept of the service's answers."""
        self._transport.drop_cache()

    async def get_many(self, caller: Caller, ids: Sequence[int]) -> dict[int, R | Stale | SourceError]:
        """The objects with those ids, each once. What does not exist is left out; what failed is its error.

        `Stale` is an object past its time, where nothing better could be had.
        """
        return await self._load(caller, list(dict.fromkeys(ids)), self._by_ids)

    def _by_ids(self, caller: Caller, ids: Sequence[Any]) -> Call:
        keyed = RequestedKeys(ID, tuple(ids), self._by_ids, MAX_IDS)
        if len(ids) > 1:
            return self._read(caller, {"ids": joined(ids)}, partial(self._many, keyed.keys), keyed=keyed)
        return Call(
            "GET",
            self._route_of_one,
            f"{self.path}/{ids[0]}",
            caller,
            partial(self._one, ids[0]),
            identity=self._forward_identity,
            missing_ok=True,
            keyed=keyed,
        )

    def _one(self, id: int, body: bytes) -> dict[int, R | SourceError]:
        found = self._decode_one(body)
        if found.id != id:
            raise Mismatch
        return {id: found}

    def _many(self, ids: Sequence[int], body: bytes) -> dict[int, R | SourceError]:
        asked = set(ids)
        answers: dict[int, R | SourceError] = {}
        all_tell_their_key = True
        for item in self._decode_items(body).items:
            if isinstance(item, Unreadable):
                all_tell_their_key = all_tell_their_key and item.id is not None
                # One that doesn't even tell its id may be any of those that are missing.
                for id_ in (item.id,) if item.id is not None else asked - answers.keys():
                    answers.setdefault(id_, item.error)
            else:
                answers[item.id] = item
        if answers.keys() <= asked:
            if all_tell_their_key:
                return answers
            raise Mismatch(answers)
        raise self._mismatch({id_: answer for id_, answer in answers.items() if id_ in asked}, asked - answers.keys())

    def _mismatch(self, found: dict[int, Any], missing: Iterable[int]) -> Mismatch:
        """The error for an answer with rows that were not requested.

        If the call carried an identity, none of it may be used. Otherwise the requested rows may; a missing one may exist.
        """
        if self._forward_identity or not found:
            return Mismatch()
        return Mismatch(found | {key: Mismatched(self.name) for key in missing})

    async def page(self, caller: Caller, *, limit: int, cursor: str | None, **filters: str | None) -> Page[R]:
        """A page of at most `limit` (1 to 200) items after `cursor`. Raises `BadCursor`, `SourceError`."""
        query = {"limit": str(limit), "cursor": cursor, **filters}
        exact = [(name, value) for name, value in filters.items() if value is not None and name in self.exact]
        call = self._read(caller, query, partial(self._page, limit, exact), objects=_objects)
        try:
            value = (await self._asked(call)).value
        except Rejected as error:
            if error.status == 400 and cursor is not None:
                raise BadCursor from error
            raise
        page: Page[R] = replace(value.value, stale_s=value.age_s) if isinstance(value, Stale) else value
        if page.lost:
            # The page may be cached or shared with other requests: each raises errors of its own.
            page = replace(page, items=[again(item) if isinstance(item, SourceError) else item for item in page.items])
        return page

    async def _asked(self, call: Call) -> Reply:
        """The reply to a read; how long what came from the service may be used goes into the request's account of it."""
        reply = await self._transport(call)
        if not reply.is_kept:
            life = reply.lifetimes
            with_identity = call.viewer is not None
            left_s, is_shared, may_keep = for_clients(life) if life else usable(reply.headers, with_identity=with_identity)
            call.caller.freshness.note(left_s, is_shared=is_shared, may_keep=may_keep)
        return reply

    def _page(self, limit: int, exact: Sequence[tuple[str, str]], body: bytes) -> Page[R]:
        envelope = self._decode_page(body)
        items = [item.error if isinstance(item, Unreadable) else item for item in envelope.items[:limit]]
        for name, wanted in exact:
            if any(getattr(item, name, wanted) != wanted for item in items):
                raise Mismatch
        lost = sum(isinstance(item, Unreadable) for item in envelope.items)
        return Page(items, envelope.next_cursor, envelope.total, lost=lost)

    def _read(self, caller: Caller, query: Mapping[str, str | None], decode: Callable[[bytes], Any], **options: Any) -> Call:
        pairs = [(name, value) for name, value in query.items() if value is not None]
        parameters = [f"{name}={value if _is_plain(value) else quote_plus(value)}" for name, value in pairs]
        target = f"{self.path}?{'&'.join(parameters)}"
        return Call("GET", self.path, target, caller, decode, identity=self._forward_identity, **options)

    async def _write(
        self,
        caller: Caller,
        method: str,
        route: str,
        body: Mapping[str, Any] | None,
        *,
        key: str,
        id: int | None = None,
        is_it: Callable[[R], bool] | None = None,
    ) -> R:
        """A write. The answer must be the object `id`, if one is given, and `is_it` must hold for it.

        Raises `Rejected` if the service says what is wrong with the write, `Mismatched` if it answers with another object,
        else `SourceError`.
        """
        target = route if id is None else route.replace("{id}", str(id))
        call = Call(
            method,
            route,
            target,
            caller,
            partial(self._written, id, is_it),
            identity=True,
            body=None if body is None else msgspec.json.encode(body),
            idempotency_key=key,
            touches=id,
        )
        caller.freshness.forbid()
        written: R = (await self._transport(call)).value
        return written

    def _written(self, id: int | None, is_it: Callable[[R], bool] | None, body: bytes) -> R:
        found = self._decode_one(body)
        if (id is not None and found.id != id) or (is_it is not None and not is_it(found)):
            raise Mismatch
        return found

    async def _load(
        self, caller: Caller, keys: Sequence[int], narrow: Callable[[Caller, Sequence[Any]], Call]
    ) -> dict[int, Any]:
        """Load the keys by 200, all chunks at once. A chunk that fails costs its own keys and no others."""

        async def guarded(chunk: Sequence[int]) -> dict[int, Any]:
            try:
                found: dict[int, Any] = (await self._asked(narrow(caller, chunk))).value
            except SourceError as error:
                return dict.fromkeys(chunk, detached(error))
            return found

        if not keys:
            return {}
        if len(keys) <= MAX_IDS:
            return await guarded(keys)
        chunks = [keys[start : start + MAX_IDS] for start in range(0, len(keys), MAX_IDS)]
        merged: dict[int, Any] = {}
        for found in await asyncio.gather(*map(guarded, chunks)):
            merged.update(found)
        return merged

    def _tolerant(self, envelope: Any) -> Callable[[bytes], Any]:
        """A decoder of `envelope[record]`: all at once where all is well, else item by item."""
        strict = msgspec.json.Decoder(envelope[self.record])
        loose = msgspec.json.Decoder(envelope[msgspec.Raw])

        def decode(body: bytes) -> Any:
            try:
                return strict.decode(body)
            except msgspec.ValidationError:
                found = loose.decode(body)
                found.items = [self._decode_item(raw) for raw in found.items]
                return found

        return decode

    def _decode_item(self, raw: msgspec.Raw) -> "R | Unreadable":
        try:
            return self._decode_one(bytes(raw))
        except msgspec.ValidationError:
            return Unreadable(BadAnswer(self.name, counts=False), read_keys(raw))


def _objects(page: Page[Any]) -> dict[Hashable, Any]:
    """A page's objects by id."""
    return {item.id: item for item in page.items if not isinstance(item, SourceError)}


class Keys(msgspec.Struct, frozen=True, rename="camel"):
    """What may still be read of an object that doesn't fit its record."""

    id: int | None = None
    user_id: int | None = None


_is_plain = re.compile(r"[0-9A-Za-z,_.-]*\Z").match
"""What stands in a query as it is (RFC 3986, section 3.4)."""


class BadCursor(Exception):
    """The service does not know the cursor that the client gave. No fault of the service."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of an answer that doesn't fit its record."""

    error: SourceError
    keys: Keys

    @property
    def id(self) -> int | None:
        """Its id, where at least that could be read."""
        return self.keys.id


def read_keys(raw: msgspec.Raw) -> Keys:
    """The keys of an object that is wrong otherwise; each None where it is wrong itself."""
    try:
        members = msgspec.json.decode(raw)
    except ValueError:
        return Keys()
    if not isinstance(members, dict):
        return Keys()

    def key(name: str) -> int | None:
        value = members.get(name)
        return value if type(value) is int else None

    return Keys(key("id"), key("userId"))


def joined(ids: Iterable[int]) -> str:
    """Ids as a query wants them."""
    return ",".join(map(str, ids))
