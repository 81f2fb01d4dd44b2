"""The base of all sources. A source is one resource of one REST service, with its reads and writes.

class Users(Source[User]):
    path = "/users"
    by_id = ById()

    async def rename(self, caller: Caller, id: int, name: str, *, key: str) -> User:
        return await self.write(caller, "PATCH", "/users/{id}", {"name": name}, key=key, id=id)

`bff/upstream/reads.py` has the kinds of reads.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, get_args, get_origin
from urllib.parse import quote_plus, unquote, urlsplit

import msgspec

from bff.upstream.caller import CallBudget, Caller
from bff.upstream.conventions import STANDARD, Conventions
from bff.upstream.conventions.keys import KeysRequest, Query
from bff.upstream.errors import Mismatched, SourceError, TooManyCalls, is_outcome_unknown
from bff.upstream.events import BreakerState
from bff.upstream.headers import NO_RULES, HeaderRules
from bff.upstream.ids import ReadId, in_path, reader_of
from bff.upstream.reads import ById, ListBy, Read
from bff.upstream.records import R, Record, RecordReader
from bff.upstream.traffic.call import Call, Mismatch, Reply, Stale
from bff.upstream.traffic.freshness import for_clients, usable
from bff.upstream.traffic.stack import SourceStatus

NAME = re.compile(r"(?=.{1,63}\Z)[a-z][a-z0-9]*(_[a-z0-9]+)*\Z", re.ASCII)
"""A source's name in settings, metrics and logs."""

_PATH = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+\Z")
"""Segments of a path, none of them empty or dots (RFC 3986, section 3.3)."""

_LONGEST_LOCATION = 4096

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Transport(Protocol):
    """Makes calls to a service under all its policies: `traffic.stack.Stack`."""

    async def __call__(self, call: Call) -> Reply:
        """Make the call. Raises `SourceError`."""
        ...

    def status(self) -> SourceStatus:
        """The source's breaker and instances."""
        ...

    def force_breaker(self, state: BreakerState | None) -> None:
        """Force the breaker open or closed; None returns it to automatic operation."""
        ...

    def drop_cache(self) -> None:
        """Clear the cache."""
        ...

    def set_headers(self, rules: HeaderRules) -> None:
        """Change the headers of further calls."""
        ...

    def note_unreadable(self, detail: str) -> None:
        """An object of a reply does not fit its record."""
        ...


class Source(Generic[R]):
    """One resource of one service. A subclass sets its path, declares its reads and adds its writes.

    Attributes:
        name: its name in settings, metrics and logs; by default the class's name in lower case: `Users` is `users`.
        path: the resource's path below the service's base URL.
        record: the record type of its objects; by default the one in `Source[…]`.
        defaults: the source's own defaults of its settings, given as keywords of the class:
            `class Products(Source[Product], forward_identity=False)`.
        declared: the reads, in the order of their declaration.
        by_id_read: the read of objects by id; None if there is none.
        conventions: how the service answers; a base class of several sources may declare them.
        read_id: converts a client's `ID` to the record's id; None for text that can't be an id.
    """

    name: ClassVar[str] = ""
    path: ClassVar[str] = ""
    record: type[R]
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    declared: ClassVar[tuple[Read, ...]] = ()
    by_id_read: ClassVar[ById | None] = None
    conventions: ClassVar[Conventions] = STANDARD
    read_id: ClassVar[ReadId]

    def __init_subclass__(cls, **defaults: Any) -> None:
        super().__init_subclass__()
        if taken := [name for name, each in vars(cls).items() if isinstance(each, Read) and name in _OWN_MEMBERS]:
            raise TypeError(
                f"{cls.__name__}.{taken[0]}: every source has a member of this name, choose another for the read"
            )
        cls.defaults = MappingProxyType({**cls.defaults, **defaults})
        record = _record_of(cls)
        if record is None:  # a base class of several sources
            return
        cls.record = record  # type: ignore[assignment] # R is the record of each subclass
        if "name" not in vars(cls):
            cls.name = _CAPITAL.sub("_", cls.__name__).lower()
        if not NAME.match(cls.name):
            raise TypeError(
                f"{cls.__name__}.name: expected lower-case letters, digits and single _ between them, got {cls.name!r}"
            )
        if not _PATH.match(cls.path):
            raise TypeError(f"{cls.__name__}.path: expected a path such as /{cls.name}, got {cls.path!r}")
        try:
            cls.conventions.check()
        except TypeError as error:
            raise TypeError(f"{cls.__name__}.conventions: {error}") from None
        id_type = next((each.type for each in msgspec.structs.fields(record) if each.name == "id"), None)
        cls.read_id = staticmethod(reader_of(id_type, f"{record.__name__}.id"))
        reads = {}
        for base in reversed(cls.__mro__):
            reads.update({name: value for name, value in vars(base).items() if isinstance(value, Read)})
        for name, read in reads.items():
            setattr(cls, name, read.declared_in(cls, name))
        cls.declared = tuple(getattr(cls, name) for name in reads)
        cls.by_id_read = next((read for read in cls.declared if isinstance(read, ById)), None)

    def __init__(self, transport: Transport, *, forward_identity: bool) -> None:
        self._transport = transport
        self.headers = NO_RULES
        self.forward_identity = forward_identity
        members = (read.member for read in self.declared if isinstance(read, ListBy))
        keys = tuple(dict.fromkeys(("id", *members)))
        self.reader = RecordReader(self.name, self.record, keys, self.conventions.one, transport.note_unreadable)
        self.reads: dict[str, Any] = {read.attribute: read.bind(self) for read in self.declared}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._transport!r}>"

    def set_headers(self, rules: HeaderRules) -> None:
        """Change the headers of further calls."""
        self.headers = rules
        self._transport.set_headers(rules)

    def status(self) -> SourceStatus:
        """The source's breaker and instances."""
        return self._transport.status()

    def force_breaker(self, state: BreakerState | None) -> None:
        """Force the breaker open or closed; None returns it to automatic operation."""
        self._transport.force_breaker(state)

    def drop_cache(self) -> None:
        """Clear the cache of the service's replies."""
        self._transport.drop_cache()

    async def write(
        self,
        caller: Caller,
        method: str,
        route: str,
        body: Mapping[str, Any] | None,
        *,
        key: str,
        id: Any = None,
        is_it: Callable[[R], bool] | None = None,
        reads_back: bool = False,
    ) -> R:
        """Send a write. The reply must be the object `id`, if one is given, and `is_it` must hold for it.

        Args:
            caller: the request on whose behalf the call is made.
            method: the HTTP method.
            route: the path's template, as `/users/{id}`.
            body: the members of the JSON body; None for no body.
            key: the `Idempotency-Key`: the service executes one write for each key.
            id: the id of the object that is changed; None if it is new.
            is_it: checks that the object in the reply is the one that was written.
            reads_back: whether the reply has no object, as 202 or 204. Then the object is read by its id after the write:
                `id`, or for a new object the last segment of the reply's `Location` (RFC 9110, section 10.2.2).

        Returns:
            The object as it is after the write.

        Raises:
            Rejected: the service refuses the write and gives reasons (404, 409, 422).
            Mismatched: the reply is another object, or with `reads_back` no object is there after the write.
            SourceError: any other failure.
            ValueError: the route needs an id, and there is none or one that is the id of nothing.
        """
        if id is None and "{id}" in route:
            raise ValueError(f"{route}: expected an id")
        target = route if id is None else route.replace("{id}", in_path(id))
        call = Call(
            method,
            route,
            target,
            caller,
            _nothing if reads_back else partial(self._written, id, is_it),
            identity=True,
            body=None if body is None else msgspec.json.encode(body),
            idempotency_key=None if self.conventions.idempotency_header is None else key,
            touches=id,
            conventions=self.conventions,
            has_no_body=reads_back,
            forwarded=self.forwarded(caller),
        )
        caller.freshness.forbid()
        if caller.budget is not None:
            self._count(caller.budget)
        if caller.admit is not None:
            await caller.admit(self.name)
        is_done = False
        try:
            reply = await self._transport(call)
            is_done = True
            self._return_headers(caller, reply, is_read=False)
            if reads_back:
                return await self._read_back(caller, id, reply.headers, is_it)
        except SourceError as error:
            error.may_have_happened = is_done or is_outcome_unknown(error)
            raise
        written: R = reply.value
        return written

    async def _read_back(self, caller: Caller, id: Any, headers: Mapping[str, str], is_it: Callable[[R], bool] | None) -> R:
        """The object after a write whose reply does not have it. Raises `Mismatched`, `SourceError`."""
        read = type(self).by_id_read
        key = _id_in(headers.get("location", ""), type(self).read_id) if id is None else id
        if read is None or key is None:
            raise Mismatched(self.name)
        if caller.budget is not None:  # it belongs to the write, which must not look as if it had failed
            caller = replace(caller, budget=None)
        found = (await self.reads[read.attribute].load(caller, [key])).get(key)
        if isinstance(found, SourceError):
            raise found
        if found is None or isinstance(found, Stale) or (is_it is not None and not is_it(found)):
            raise Mismatched(self.name)
        written: R = found
        return written

    def _written(self, id: Any, is_it: Callable[[R], bool] | None, body: bytes) -> R:
        found = self.reader.one(body)
        if (id is not None and found.id != id) or (is_it is not None and not is_it(found)):
            raise Mismatch
        return found

    def read_call(
        self,
        caller: Caller,
        query: Query,
        decode: Callable[..., Any],
        request: KeysRequest | None = None,
        **options: Any,
    ) -> Call:
        """A read at the source's path, or at that of `request`. `options` are attributes of `Call`."""
        path = route = self.path
        body = None
        if request is not None and request.path is not None:
            path, route, body = request.path, request.route or request.path, request.body
        parameters = []
        for name, value in query.items():
            if isinstance(value, str):
                parameters.append(_parameter(name, value))
            elif value is not None:
                parameters += [_parameter(name, each) for each in value]
        target = f"{path}?{'&'.join(parameters)}" if parameters else path
        return Call(
            "GET" if body is None else "POST",
            route,
            target,
            caller,
            decode,
            identity=self.forward_identity,
            body=body,
            is_posted_read=body is not None,
            conventions=self.conventions,
            forwarded=self.forwarded(caller),
            **options,
        )

    def forwarded(self, caller: Caller) -> tuple[tuple[str, str], ...]:
        """The client's headers that this source gets."""
        if not self.headers.forwarded or not caller.forwarded:
            return ()
        return tuple((name, value) for name in self.headers.forwarded if (value := caller.forwarded.get(name)) is not None)

    def _return_headers(self, caller: Caller, reply: Reply, *, is_read: bool) -> None:
        names, returned = self.headers.returned, caller.returned
        if names and returned is not None and returned.note(names, reply.headers, is_read=is_read):
            caller.freshness.forbid()

    def _count(self, budget: CallBudget) -> None:
        """Count a call of an operation whose calls are limited. Raises `TooManyCalls`."""
        if not budget.take():
            raise TooManyCalls(self.name, budget.most)

    async def reply_to(self, call: Call) -> Reply:
        """The reply to a read. Notes in `caller.freshness` how long it may be cached. Raises `SourceError`."""
        if call.caller.budget is not None:
            self._count(call.caller.budget)
        if call.caller.admit is not None:
            await call.caller.admit(self.name)
        reply = await self._transport(call)
        if not reply.is_kept:
            life = reply.lifetimes
            with_identity = call.viewer is not None
            left_s, is_shared, may_keep = for_clients(life) if life else usable(reply.headers, with_identity=with_identity)
            call.caller.freshness.note(left_s, is_shared=is_shared, may_keep=may_keep)
        self._return_headers(call.caller, reply, is_read=True)
        return reply


_OWN_MEMBERS = frozenset({*vars(Source), *Source.__annotations__, "reads", "reader", "forward_identity", "headers"})
"""Names that a source's reads can't have."""


def _record_of(source: type[Source[Any]]) -> type[Record] | None:
    """The record of a source's class: its own attribute, else the one in its base `Source[…]`; None if it has neither."""
    own = source.__dict__.get("record")
    if own is not None:
        return own  # type: ignore[no-any-return] # an attribute of the class body
    for base in getattr(source, "__orig_bases__", ()):
        origin = get_origin(base)
        if isinstance(origin, type) and issubclass(origin, Source):
            argument = get_args(base)[0]
            if isinstance(argument, type) and issubclass(argument, Record):
                return argument
    inherited: type[Record] | None = getattr(source, "record", None)
    return inherited


def _parameter(name: str, value: str) -> str:
    """A parameter of a query, encoded where that is needed."""
    return f"{name if _is_plain(name) else quote_plus(name)}={value if _is_plain(value) else quote_plus(value)}"


def _id_in(location: str, read_id: ReadId) -> Any:
    """The id at the end of a URL's path; None if there is none."""
    if len(location) > _LONGEST_LOCATION:
        return None
    try:
        return read_id(unquote(urlsplit(location).path.rpartition("/")[2]))
    except ValueError:
        return None


def _nothing(_: bytes) -> None:
    """Decodes a reply without a body."""


_is_plain = re.compile(r"[0-9A-Za-z,_.-]*\Z").match
"""Whether a value needs no encoding in a query (RFC 3986, section 3.4)."""
