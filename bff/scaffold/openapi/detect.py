"""Finds a resource in a document: from the document to `Findings`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bff.conventions import Conventions, camel, snake
from bff.scaffold.code import is_harmless
from bff.scaffold.names import TAKEN_RECORDS, ScaffoldError, SourceNames
from bff.scaffold.openapi import findings as f
from bff.scaffold.openapi import keys, members, places
from bff.scaffold.openapi.access import note_access, note_writes, service_url
from bff.scaffold.openapi.application import Application
from bff.scaffold.openapi.document import Document, Notes, Operation, Parameter
from bff.scaffold.openapi.errors import errors_of
from bff.scaffold.openapi.filters import filters_of, naming_of
from bff.scaffold.openapi.paging import Listed, note_limit, pages_of, size_of
from bff.scaffold.openapi.relations import owner_of, relations_of
from bff.scaffold.openapi.resource import Resource, find
from bff.scaffold.openapi.schemas import Schema, Schemas
from bff.scaffold.openapi.words import plain, shown
from bff.upstream.conventions.keys import Naming

_OTHER_CLASSES = frozenset({"Int32", "ListBy", "OneByOne", "Pages", "StrEnum", "Timestamp", "UncountedConnection", "Viewer"})


@dataclass(frozen=True, slots=True)
class _Replies:
    """The replies of a resource: where they have what is read, and its schema."""

    one: tuple[str, Schema] | None
    several: tuple[str, Schema] | None
    listed: Listed | None

    @property
    def query(self) -> Mapping[str, Parameter]:
        """The parameters of the list."""
        return {} if self.listed is None else self.listed.query


def detect(root: Mapping[str, Any], names: SourceNames, path: str | None, application: Application) -> f.Findings:
    """What a document says about a resource.

    Args:
        root: the document.
        names: of the source; the resource is named as it is, unless `path` is given.
        path: of the resource in the document.
        application: what the new source may be linked to.

    Raises:
        ScaffoldError: there is no such resource, or nothing of it can be read.
    """
    return _Detection(Document(root, Notes()), names, application).run(path)


class _Detection:
    def __init__(self, document: Document, names: SourceNames, application: Application) -> None:
        self._document = document
        self._schemas = Schemas(document)
        self._notes = document.notes
        self._names = names
        self._application = application

    def run(self, path: str | None) -> f.Findings:
        resource = self._usable(find(self._document, self._names, path))
        replies = self._replies(resource)
        described = self._members(resource, replies)
        in_snake = sum(each.json == each.name for each in described)
        is_snake = in_snake > sum(each.json == camel(each.name) for each in described)
        naming = naming_of(list(replies.query), is_snake=is_snake)
        found = self._reads(resource, replies, described, naming)
        operations = (resource.one, resource.several, *(each.operation for each in resource.below))
        forwards_identity = note_access(self._document, self._names.source, operations)
        variables = (f"{resource.path}/{{{resource.parameter}}}",) if resource.parameter else ()
        note_writes(self._document, (resource.path, *variables))
        linked = (self._names, self._application, self._notes)
        owners = (owner_of(each, found.members, *linked) for each in found.lists)
        return replace(
            found,
            is_snake=is_snake,
            conventions=self._conventions(replies, naming, operations),
            relations=relations_of(found.members, *linked),
            owners=tuple(each for each in owners if each is not None),
            forwards_identity=forwards_identity,
            service_url=service_url(self._document),
            notes=self._notes.lines(),
        )

    def _reads(self, resource: Resource, replies: _Replies, found: tuple[f.Member, ...], naming: Naming) -> f.Findings:
        """The reads, and the members with those that lists add. Raises `ScaffoldError` if there is nothing to read."""
        place = None if replies.several is None else replies.several[0]
        is_one = replies.one is not None
        by_id = keys.by_id(self._document, self._schemas, resource.path, replies.listed, place, is_one=is_one)
        pages = None if replies.listed is None else pages_of(self._schemas, replies.listed, place or "", self._notes)
        used = {"id", "ids", None if by_id is None else by_id.parameter}
        if pages is not None:
            used |= set(pages.by.parameters())
            filters = filters_of(self._schemas, replies.query, found, naming, self._notes, used)
            pages = replace(pages, exact=filters.exact, filters=filters.others)
        lists, found = self._lists(resource, replies, found, naming, used)
        if by_id is None and pages is None:
            raise self._refusal(f"a way to read {shown(resource.path)}: a GET of one object, or of pages")
        read = None if by_id is None else by_id.read
        return f.Findings(self._names, resource.path, found, False, Conventions(), read, lists, pages)

    def _refusal(self, expected: str) -> ScaffoldError:
        """A refusal with the first notes, which are the likely reasons."""
        reasons = "".join(f"; {line}" for line in self._notes.lines()[:3])
        return ScaffoldError(f"--openapi: expected {expected}{reasons}")

    def _usable(self, resource: Resource) -> Resource:
        """The resource without the operations that the gateway can't call."""
        several, one = (self._callable(each) for each in (resource.several, resource.one))
        below = tuple(each for each in resource.below if self._callable(each.operation) is not None)
        return replace(resource, several=several, one=one, below=below)

    def _callable(self, operation: Operation | None) -> Operation | None:
        if operation is not None and (required := operation.required("query")):
            self._notes.add(f"GET {shown(operation.path)} needs the parameter {shown(required[0])}: it is not read")
            return None
        return operation

    def _body(self, operation: Operation | None) -> Schema:
        if operation is None:
            return Schema()
        return self._schemas.read(self._document.content(self._document.success(operation))[1])

    def _replies(self, resource: Resource) -> _Replies:
        one = several = listed = None
        if resource.one is not None:
            one = places.one(self._schemas, self._body(resource.one), self._names, resource.parameter)
            if one is None:
                self._notes.add(f"GET {shown(resource.one.path)}: expected an object with an id in its reply")
        if resource.several is None:
            self._notes.add(f"GET {shown(resource.path)}: no list is described that can be read: no connection is written")
        else:
            several = places.items(self._schemas, self._body(resource.several), self._names)
            if several is None:
                self._notes.add(f"GET {shown(resource.path)}: expected a list of objects in its reply")
            else:
                listed = self._listed(resource.several)
        return _Replies(one, several, listed)

    def _listed(self, operation: Operation) -> Listed:
        headers = self._document.mapping(self._document.success(operation).get("headers"))
        body = dict(places.members(self._schemas, self._body(operation)))
        return Listed(operation.query(), body, {plain(name): name for name in headers if is_harmless(name)})

    def _members(self, resource: Resource, replies: _Replies) -> tuple[f.Member, ...]:
        """The members of an object, which objects of lists have too. Raises `ScaffoldError`."""
        found = [self._read(each[1], resource.parameter) for each in (replies.one, replies.several) if each is not None]
        read = [each for each in found if each is not None]
        if not read or len(read) < len(found):
            raise self._refusal(f"objects with an id, a string or an integer, at {shown(resource.path)}")
        if len(read) == 1:
            return read[0]
        return self._common(read[0], read[1])

    def _common(self, one: tuple[f.Member, ...], other: tuple[f.Member, ...]) -> tuple[f.Member, ...]:
        if one[0] != other[0]:
            raise ScaffoldError(
                f"--openapi: expected one id of objects, got {shown(one[0].json)} of a single one,"
                f" {shown(other[0].json)} in lists, or ids of two types"
            )
        return members.common(one, other, self._names.field, self._notes)

    def _read(self, schema: Schema, parameter: str) -> tuple[f.Member, ...] | None:
        id_name = places.id_of(self._schemas, schema, self._names, parameter)
        if id_name is None:
            return None
        taken = self._application.classes | TAKEN_RECORDS | _OTHER_CLASSES | {self._names.record, self._names.source_class}
        reader = members.MemberReader(
            self._schemas, self._notes, self._names.record, taken, frozenset(self._application.known)
        )
        return reader.record(schema, id_name)

    def _lists(
        self, resource: Resource, replies: _Replies, found: tuple[f.Member, ...], naming: Naming, used: set[str | None]
    ) -> tuple[tuple[f.ReadList, ...], tuple[f.Member, ...]]:
        """The lists by owner, and the members with those that the lists add."""
        lists = []
        base = Conventions().items if replies.several is None else replies.several[0]
        for key in keys.owners_of(self._schemas, resource, found, self._names, replies.query):
            place = self._place_below(key, found, resource.parameter)
            if place is None:
                continue
            listed = self._listed(key.operation)
            limit = size_of(listed)
            note_limit(self._schemas, listed, limit, f"GET {shown(key.operation.path)}", self._notes)
            without = {*used, key.member.json, limit}
            filters = filters_of(self._schemas, listed.query, found, naming, self._notes, without)
            items = None if place == base else place
            lists.append(f.ReadList(key.owner, key.member.name, key.many, limit, items, filters.exact, filters.others))
            if key.is_new:
                found = (*found, key.member)
        return tuple(lists), found

    def _place_below(self, key: keys.OwnerKey, found: tuple[f.Member, ...], parameter: str) -> str | None:
        """Where a list by owner has its items; None if they are other objects."""
        place = places.items(self._schemas, self._body(key.operation), self._names)
        others = None if place is None else self._read(place[1], parameter)
        known = {} if others is None else {each.name: each for each in others}
        own = [each for each in found if each.name != key.member.name]
        is_same = all(each.name in known and _fits(known[each.name], each) for each in own)
        is_taken = key.is_new and key.member.name in {each.name for each in found}
        if place is None or not is_same or is_taken:
            self._notes.add(f"GET {shown(key.operation.path)}: its objects are not those of {self._names.source}: left out")
            return None
        return place[0]

    def _conventions(self, replies: _Replies, naming: Naming, operations: tuple[Operation | None, ...]) -> Conventions:
        errors = errors_of(self._document, self._schemas, operations)
        types: dict[str, None] = {}
        for each in operations:
            media_type = "" if each is None else self._document.content(self._document.success(each))[0]
            if (
                media_type
                and media_type != "application/json"
                and not media_type.endswith("+json")
                and "*" not in media_type
            ):
                types[media_type] = None
        default = Conventions()
        items = default.items if replies.several is None else replies.several[0]
        return Conventions(
            one="" if replies.one is None else replies.one[0],
            items=items,
            naming=snake if naming is snake else camel,
            errors=default.errors if errors is None else errors,
            media_types=tuple(name for name in types if is_harmless(name)),
        )


def _fits(other: f.Member, member: f.Member) -> bool:
    """Whether another description of a member promises as much."""
    return other.type == member.type and (member.is_optional or not other.is_optional)
