"""Asks each service what the application expects of it, and says in plain words what does not fit. Only reads are sent.

The objects to ask for come from a page of each source or from relations to them, or are given by their ids. The gateway's
cache, retries and breakers are out of the way, so that each answer is the service's own.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from bff.app import App
from bff.gateway.sources import Sourced, bound_sources
from bff.graph.schemas import loaded_fields
from bff.runtime.background import Background
from bff.settings import Settings
from bff.upstream.caller import Caller, Deadline, Identity
from bff.upstream.errors import SourceError
from bff.upstream.events import BreakerState, CallEnded, Event, ObjectUnreadable
from bff.upstream.loads import BadCursor
from bff.upstream.reads import ById, ListBy, Pages, Read
from bff.upstream.source import Source
from bff.upstream.traffic.balance import InstanceOptions
from bff.upstream.traffic.cache import CacheOptions
from bff.upstream.traffic.call import Stale
from bff.upstream.traffic.health import HealthOptions
from bff.upstream.traffic.retry import RetryOptions
from bff.upstream.wire import Wire, WireOptions, WireReply, WireRequest
from bff.upstream.wire.choice import wire_for
from bff.upstream.wire.resolver import Resolver

_DEADLINE_S = 10.0
_ITEMS = 2
_MOST_MEMBERS = 8
_LONGEST_NAME = 40
_MISSING: Mapping[type, Any] = {int: 999_999_999_999_999, str: "bff-check-no-such-id", UUID: UUID(int=0)}
_CREDENTIALS_WAIT_S = 5.0
_UNUSED = (InstanceOptions("http://unused.invalid"),)
"""In place of a service that is not asked."""

_REASONS = {
    "unknown_host": "its host name is not known",
    "refused": "it refuses connections: is it running, and is the port right?",
    "connect_timeout": "it does not accept a connection in time",
    "unreachable": "it can't be reached",
    "tls_expired": "its certificate has expired",
    "tls_not_yet_valid": "its certificate is not valid yet",
    "tls_unknown_authority": "its certificate is of an unknown authority: see tls.ca_file",
    "tls_other_host": "its certificate is for another host",
    "tls_certificate": "its certificate can't be verified",
    "tls": "it does not speak TLS as expected",
    "connection_broken": "it closed the connection without an answer",
    "timeout": "it did not answer in time (timeout_s)",
    "deadline": "it did not answer in time",
    "too_large": "its answer is longer than max_response_bytes",
    "truncated": "its answer broke off, or is no HTTP",
    "content_type": "its answer is no uncompressed JSON, by its headers: see Conventions.media_types",
    "not_json": "its answer is no JSON",
    "other_objects": "its answer has other objects than those that were asked for",
    "no_credentials": "the gateway has no token for it: see oauth2",
    "credentials_refused": "it refuses the gateway's own credentials",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was asked and what came. `fault` is empty if it fits."""

    source: str
    request: str
    fault: str = ""

    def __str__(self) -> str:
        """A line for the console."""
        return f"{self.source}: {self.request}: {self.fault or 'fits'}"


@dataclass(slots=True)
class _Heard:
    """The events of the calls: the last failure, and what does not fit in objects. And the outline of the last answer."""

    outline: str = ""
    failed: CallEnded | None = None
    status: int | None = None
    unreadable: list[str] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if type(event) is CallEnded:
            self.failed = event if event.reason else None
            self.status = event.status
        elif type(event) is ObjectUnreadable:
            self.unreadable.append(event.detail)

    def forget(self) -> None:
        self.failed, self.status = None, None
        self.unreadable.clear()


async def check(
    app: App, settings: Settings, names: Sequence[str], ids: Mapping[str, Sequence[str]], identity: Identity | None
) -> AsyncIterator[Finding]:
    """What each of the named sources' services answers.

    Args:
        app: the application.
        settings: its settings, with the URLs of these services.
        names: the sources.
        ids: ids of objects that exist, by source.
        identity: as whom the services are asked; None for nobody.
    """
    heard = _Heard()
    resolver = Resolver()

    def wire(options: WireOptions) -> Wire:
        return _Listening(wire_for(options, resolver), heard)

    sourced = bound_sources(app, _bare(settings, app), heard, wire, time.monotonic)
    related = {name: list(given) for name, given in ids.items()}
    async with sourced.running(Background()):
        await _credentials(sourced, names)
        for source in sorted(sourced.sources, key=_is_without_pages):
            if source.name in names:
                source.force_breaker(BreakerState.CLOSED)
                check_of_source = _Check(source, heard, related.get(source.name, ()), identity)
                async for finding in check_of_source.findings():
                    yield finding
                for name, texts in check_of_source.related(_relations(app)):
                    related.setdefault(name, []).extend(texts)


def _is_without_pages(source: Source[Any]) -> bool:
    """Whether its objects are found by relations alone, so that it is asked after the others."""
    return not any(isinstance(read, Pages) for read in type(source).declared)


def _relations(app: App) -> set[tuple[str, str]]:
    """The members of records that hold ids, each with the name of the source that has the objects."""
    found = set()
    for schema in app.schemas.values():
        for each in loaded_fields(schema):
            if each.member is not None and isinstance(each.read, ById):
                found.add((each.member, each.read.source.name))
    return found


def _bare(settings: Settings, app: App) -> Settings:
    """The settings without cache, retries and health checks."""
    changes = {
        "cache": CacheOptions(enabled=False),
        "retry": RetryOptions(attempts=1, budget_ratio=0.0),
        "health": HealthOptions(interval_s=0),
    }
    sources = {name: settings.source(name).model_copy(update=changes) for name in app.source_names}
    every = settings.sources.model_copy(update=sources)  # type: ignore[attr-defined] # see `settings_class`
    unused = {name: _UNUSED for name in app.source_names if not settings.instances(name)}
    return settings.model_copy(update={"sources": every, "routes": ()}).with_instances(unused)


async def _credentials(sourced: Sourced, names: Sequence[str]) -> None:
    """Wait a while until the tokens of these sources are there."""
    until = time.monotonic() + _CREDENTIALS_WAIT_S
    waiting = [each for name, each in sourced.identities.items() if name in names]
    while any(not _has_token(each.authorization) for each in waiting) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # they have no event for it


def _has_token(authorization: Callable[[], str]) -> bool:
    try:
        authorization()
    except SourceError:
        return False
    return True


class _Check:
    """The check of one source."""

    def __init__(self, source: Source[Any], heard: _Heard, ids: Sequence[str], identity: Identity | None) -> None:
        self._source = source
        self._heard = heard
        self._identity = identity
        self._objects: list[Any] = []
        read_id = type(source).read_id
        known = dict.fromkeys(read_id(text) for text in ids)
        self._ids: list[Any] = [key for key in known if key is not None]

    def related(self, relations: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
        """The ids of other objects that the objects of this source name, by the name of their source."""
        for member, name in relations:
            held = dict.fromkeys(getattr(each, member, None) for each in self._objects)
            yield name, [str(key) for key in held if key is not None]

    def _caller(self) -> Caller:
        trace = "00-00000000000000000000000000000001-0000000000000001-00"
        return Caller("bff-check", trace, Deadline.after(_DEADLINE_S, time.monotonic), self._identity)

    def _finding(self, request: str, fault: str = "") -> Finding:
        details = f"objects can't be read ({self._heard.unreadable[0]})" if self._heard.unreadable else ""
        return Finding(self._source.name, request, fault or details)

    async def findings(self) -> AsyncIterator[Finding]:
        """Pages first, since the other reads need objects to ask for."""
        declared = type(self._source).declared
        order = sorted(declared, key=lambda read: (not isinstance(read, Pages), not isinstance(read, ById)))
        for read in order:
            async for finding in self._of(read):
                self._heard.forget()
                yield finding

    async def _of(self, read: Read) -> AsyncIterator[Finding]:
        bound = self._source.reads[read.attribute]
        if isinstance(read, Pages):
            async for finding in self._pages(read, bound):
                yield finding
        elif isinstance(read, ById):
            async for finding in self._by_id(read, bound):
                yield finding
        elif isinstance(read, ListBy):
            yield await self._list(read, bound)

    async def _pages(self, read: Pages, bound: Any) -> AsyncIterator[Finding]:
        try:
            page = await bound.load(self._caller(), limit=_ITEMS, cursor=None)
        except (SourceError, BadCursor) as error:
            yield self._finding(read.request, self._in_words(error))
            return
        self._objects += [each for each in page.items if not isinstance(each, SourceError)]
        self._ids += [each.id for each in self._objects if each.id not in self._ids]
        yield self._finding(read.request)
        if page.next_cursor is None:
            return
        first = {each.id for each in self._objects}
        try:
            page = await bound.load(self._caller(), limit=_ITEMS, cursor=page.next_cursor)
        except (SourceError, BadCursor) as error:
            yield self._finding(f"{read.request} (the next page)", self._in_words(error))
            return
        again = [each for each in page.items if not isinstance(each, SourceError) and each.id in first]
        fault = "it has objects of the page before: is the paging convention right?" if again else ""
        yield self._finding(f"{read.request} (the next page)", fault)

    async def _by_id(self, read: ById, bound: Any) -> AsyncIterator[Finding]:
        one = f"GET {self._source.path}/{{id}}" if read.one else read.request
        if not self._ids:
            hint = f"not asked, since no id is known: give one by --id {self._source.name}=ID"
            yield Finding(self._source.name, one, hint)
            return
        yield await self._loaded(one, bound, self._ids[:1])
        if read.keys_a_call > 1 and len(self._ids) > 1:
            yield await self._loaded(read.request, bound, self._ids[:_ITEMS])
        missing = _MISSING.get(type(self._ids[0]))
        if missing is not None:
            yield await self._missing(one, bound, missing)

    async def _loaded(self, request: str, bound: Any, ids: Sequence[Any]) -> Finding:
        found = await bound.load(self._caller(), ids)
        for key in ids:
            value = found.get(key)
            if isinstance(value, SourceError):
                return self._finding(request, self._in_words(value))
            if value is None:
                return self._finding(request, f"it does not have an object that exists (status {self._heard.status})")
        self._objects += [value for value in found.values() if value not in self._objects and not isinstance(value, Stale)]
        return self._finding(request)

    async def _missing(self, request: str, bound: Any, key: Any) -> Finding:
        shown = f"{request} (an id that nothing has)"
        value = (await bound.load(self._caller(), [key])).get(key)
        if isinstance(value, SourceError):
            return self._finding(shown, f"{self._in_words(value)}; expected 404: see Conventions.statuses")
        return self._finding(shown, "" if value is None else "it has an object, so nothing can be said of missing ones")

    async def _list(self, read: ListBy, bound: Any) -> Finding:
        owners = [owner for each in self._objects if (owner := getattr(each, read.member)) is not None]
        if not owners:
            return Finding(self._source.name, read.request, "not asked, since no object with an owner is known")
        lists = await bound.load(self._caller(), list(dict.fromkeys(owners))[:_ITEMS], limit=_ITEMS)
        for value in lists.values():
            if isinstance(value, SourceError):
                return self._finding(read.request, self._in_words(value))
        empty = not any(lists.values())
        return self._finding(read.request, "it has nothing for an owner whose object is known" if empty else "")

    def _in_words(self, error: SourceError | BadCursor) -> str:
        """Why a read failed."""
        failed = self._heard.failed
        if isinstance(error, BadCursor):
            return f"it refuses its own cursor (status {self._heard.status})"
        if failed is None:
            return _REASONS.get(error.outcome, error.outcome)
        if failed.reason == "shape":
            return f"it answered {self._heard.outline}, which does not fit ({failed.detail}): see Conventions"
        if failed.reason == "status":
            return f"it answered {failed.status}{f' ({failed.problem})' if failed.problem else ''}"
        return _REASONS.get(failed.reason, failed.reason)


class _Listening:
    """A wire that notes the outline of each answer."""

    def __init__(self, wire: Wire, heard: _Heard) -> None:
        self._wire = wire
        self._heard = heard

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        reply = await self._wire.send(request, max_response_bytes=max_response_bytes)
        self._heard.outline = outline_of(reply.body)
        return reply

    async def aclose(self) -> None:
        await self._wire.aclose()


def outline_of(body: bytes) -> str:
    """The names of a JSON value's members, with `…` in place of what they hold: `{"results": […], "count": …}`."""
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return "no JSON"
    return _outline(value, 2)


def _outline(value: Any, depth: int) -> str:
    if isinstance(value, list):
        return "[…]" if value else "[]"
    if not isinstance(value, dict):
        return "…"
    if not depth:
        return "{…}"
    shown = [f"{json.dumps(name[:_LONGEST_NAME])}: {_outline(each, depth - 1)}" for name, each in value.items()]
    return "{" + ", ".join([*shown[:_MOST_MEMBERS], *(["…"] if len(shown) > _MOST_MEMBERS else [])]) + "}"


def ids_from(given: Sequence[str], app: App) -> dict[str, list[str]]:
    """The ids by source, from `NAME=ID`. Raises `ValueError`."""
    found: dict[str, list[str]] = {}
    for name, text in _pairs(given):
        if name not in app.source_names:
            raise ValueError(f"--id: expected one of {', '.join(app.source_names)}, got {name}")
        found.setdefault(name, []).append(text)
    return found


def _pairs(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    for each in given:
        name, is_pair, text = each.partition("=")
        if not is_pair or not text:
            raise ValueError(f"--id: expected SOURCE=ID, got {each}")
        yield name, text
