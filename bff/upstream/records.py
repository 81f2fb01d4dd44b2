"""Records: the members of a service's objects that an application uses, and how they are read from JSON.

An item of a list that does not fit its record does not affect the others: it becomes an `Unreadable`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from bff.upstream.conventions.envelopes import Envelope, Part, envelope_of
from bff.upstream.conventions.paging import Cursor, Paging
from bff.upstream.errors import BadAnswer, SourceError
from bff.upstream.reasons import shape_fault


class Record(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The base of all records: an object with an id. A subclass declares the members it uses, and the type of `id`.

    The id is an `int`, a `str` or a `UUID`. Members are read in camel case: `user_id` is `userId` in JSON.

    Records contain no reference cycles, so the garbage collector does not track them (`gc=False`).
    """

    id: Any


Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""A date and time with its offset (RFC 3339). A timestamp without an offset is not accepted: it is ambiguous."""

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""The range of GraphQL's `Int` (GraphQL specification, section 3.5.1). Checked here, so that a number out of range is
reported as a bad reply of the service and not as an error of the gateway."""


def inner_types(record: type[Record]) -> set[type]:
    """The classes of the objects inside of a record: of its members, of theirs, and so on."""
    found: set[type] = set()
    left: list[Any] = [field.type for field in msgspec.inspect.type_info(record).fields]  # type: ignore[attr-defined]
    while left:
        kind = left.pop()
        class_ = getattr(kind, "cls", None)
        if class_ in found:
            continue
        if class_ is not None:
            found.add(class_)
        left += [getattr(kind, name) for name in ("item_type", "key_type", "value_type", "type") if hasattr(kind, name)]
        left += [*getattr(kind, "types", ()), *getattr(kind, "item_types", ())]
        left += [field.type for field in getattr(kind, "fields", ())]
    return found


R = TypeVar("R", bound=Record)

PageParts = tuple[Sequence[Any], Any, int | None]
"""The items of a page, each a record or `Unreadable`; what the reply says about the next page; the total, if it is told."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of a reply that does not fit its record. `members` has those of its keys that can be read."""

    error: SourceError
    members: dict[str, Any]


class RecordReader(Generic[R]):
    """Reads one kind of record. `keys` are the members that are read even if the object does not fit.

    `one` reads the reply for one object, which is at the place `place`. It raises `msgspec.DecodeError`. `on_unreadable` is
    called for each item that does not fit, with what does not fit.
    """

    def __init__(
        self,
        source: str,
        record: type[R],
        keys: tuple[str, ...],
        place: str = "",
        on_unreadable: Callable[[str], None] = lambda _: None,
    ) -> None:
        fields = {each.name: each for each in msgspec.structs.fields(record)}
        self._source = source
        self._keys = [(name, fields[name].encode_name, fields[name].type) for name in keys]
        self._record = record
        self._on_unreadable = on_unreadable
        self._read: Callable[[bytes], R] = msgspec.json.Decoder(record).decode
        self.one: Callable[[bytes], R] = self._one_at(place) if place else self._read

    def _one_at(self, place: str) -> Callable[[bytes], R]:
        envelope = envelope_of({"one": Part(place, self._record)})
        decode, take = msgspec.json.Decoder(envelope.type).decode, envelope.parts["one"]

        def read(body: bytes) -> R:
            found: R = take(decode(body))
            return found

        return read

    def items(self, place: str) -> Callable[[bytes], Sequence["R | Unreadable"]]:
        """A reader of the items at a place in a reply. Raises `msgspec.DecodeError`."""
        strict, loose = _items_envelope(place, self._record), _items_envelope(place, msgspec.Raw)
        decode, take = msgspec.json.Decoder(strict.type).decode, strict.parts["items"]
        decode_loosely, take_raw = msgspec.json.Decoder(loose.type).decode, loose.parts["items"]

        def read(body: bytes) -> Sequence[R | Unreadable]:
            """All at once if all items fit, else item by item."""
            try:
                found: list[R] = take(decode(body))
            except msgspec.ValidationError:
                return [self._read_item(raw) for raw in take_raw(decode_loosely(body))]
            return found

        return read

    def pages(self, place: str, by: Paging, total: str | None) -> Callable[[bytes], PageParts]:
        """A reader of a page. Raises `msgspec.DecodeError`.

        Args:
            place: where the items are.
            by: the convention, which says where the reply tells what follows.
            total: where the length of the whole list is; None if the body does not have it.
        """
        strict, loose = (page_envelope(place, by, total, kind) for kind in (self._record, msgspec.Raw))
        decode, decode_loosely = msgspec.json.Decoder(strict.type).decode, msgspec.json.Decoder(loose.type).decode

        def read(body: bytes) -> PageParts:
            """All at once if all items fit, else item by item."""
            raws: Any
            try:
                return _page_parts(strict, decode(body))
            except msgspec.ValidationError:
                raws, following, count = _page_parts(loose, decode_loosely(body))
            return [self._read_item(raw) for raw in raws], following, count

        return read

    def _read_item(self, raw: msgspec.Raw) -> "R | Unreadable":
        try:
            return self._read(bytes(raw))
        except msgspec.ValidationError as error:
            self._on_unreadable(shape_fault(error))
            return Unreadable(BadAnswer(self._source, counts=False), self._read_keys(raw))

    def _read_keys(self, raw: msgspec.Raw) -> dict[str, Any]:
        """The readable keys of an object that does not fit."""
        try:
            members = msgspec.json.decode(raw)
        except ValueError:
            return {}
        if not isinstance(members, dict):
            return {}
        found = {}
        for name, encoded, type_ in self._keys:
            try:
                found[name] = msgspec.convert(members[encoded], type_)
            except (KeyError, msgspec.ValidationError):
                continue
        return found


def _items_envelope(place: str, kind: Any) -> Envelope:
    return envelope_of({"items": Part(place, list[kind])})


def page_envelope(place: str, by: Paging, total: str | None, kind: Any) -> Envelope:
    """What is read of a page with items of that kind. Raises `TypeError` for places that exclude each other."""
    parts = {"items": Part(place, list[kind])}
    if by.next_path is not None:
        # The demo services promise the member, so a reply without it is a fault. Other services often leave it out.
        parts["next"] = Part(by.next_path, by.next_type | None, is_required=by == Cursor())
    if total is not None:
        parts["total"] = Part(total, Int32)
    return envelope_of(parts)


def _page_parts(envelope: Envelope, found: Any) -> PageParts:
    items, following, total = (envelope.parts.get(name) for name in ("items", "next", "total"))
    return (
        () if items is None else items(found),
        None if following is None else following(found),
        None if total is None else total(found),
    )
