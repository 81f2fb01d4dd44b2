"""Ids of records: what a service knows an object by. An integer, a string or a UUID, as the record's type says.

A client's `ID` is text. It is read strictly: text that no service could have given is the id of nothing, and no call is made
for it.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

LONGEST_ID = 256
"""The most characters of a string id as it stands in a URL, percent-encoded."""

MOST_IDS = 200
"""The most ids of one call, where a read does not say otherwise."""

MOST_STRING_IDS = 30
"""The same for strings: clients choose how long they are, and servers limit the length of a URL, often to 8 KiB."""

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.ASCII | re.IGNORECASE)

_DOT_SEGMENT = re.compile(r"(\A|[/\\])\.{1,2}([/\\]|\Z)")

_KEYS = (
    msgspec.inspect.IntType,
    msgspec.inspect.StrType,
    msgspec.inspect.UUIDType,
    msgspec.inspect.EnumType,
    msgspec.inspect.NoneType,
)

ReadId = Callable[[str], Any]
"""From a client's text to the id; None where no service could have given it."""


def read_integer(text: str) -> int | None:
    """A positive integer of at most 18 digits, written without sign or leading zeros."""
    if text.isascii() and text.isdigit() and len(text) <= 18 and (number := int(text)) > 0 and str(number) == text:
        return number
    return None


def read_string(text: str) -> str | None:
    """Any printable text of 1 to 256 characters, percent-encoded.

    Not `.` or `..`, also between slashes: they would name another path, since some proxies decode slashes before they remove
    dot segments (RFC 3986, section 5.2.4).
    """
    if not 1 <= len(text) <= LONGEST_ID:
        return None
    if text.isascii() and text.isalnum():
        return text
    is_usable = text.isprintable() and not _DOT_SEGMENT.search(text) and len(quote(text, safe="")) <= LONGEST_ID
    return text if is_usable else None


def read_uuid(text: str) -> UUID | None:
    """A UUID in its usual form, 8-4-4-4-12 hexadecimal digits (RFC 9562, section 4), in either case."""
    return UUID(text) if _CANONICAL_UUID.match(text) else None


def reader_of(type_: Any, name: str) -> ReadId:
    """The reader of ids of that type, as it stands in a record. Raises `TypeError` for any other type than the three.

    `name` is the record's member, for the message.
    """
    kind = msgspec.inspect.type_info(type_)
    if isinstance(kind, msgspec.inspect.IntType):
        return read_integer
    if isinstance(kind, msgspec.inspect.StrType):
        return read_string
    if isinstance(kind, msgspec.inspect.UUIDType):
        return read_uuid
    raise TypeError(f"{name}: expected an id of the type int, str or UUID, got {type_!r}")


def most_ids(type_: Any) -> int:
    """How many ids of that type, which may be optional, one call has at most."""
    kind = msgspec.inspect.type_info(type_)
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return MOST_STRING_IDS if any(isinstance(each, msgspec.inspect.StrType) for each in kinds) else MOST_IDS


def check_key(type_: Any, name: str) -> None:
    """Check that values of a type can be keys in a list that is joined by commas. Raises `TypeError`.

    `name` is the record's member, for the message.
    """
    kind = msgspec.inspect.type_info(type_)
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    if not all(isinstance(each, _KEYS) for each in kinds):
        raise TypeError(f"{name}: expected an int, str, UUID or enum, which may be optional, got {type_!r}")


def in_path(id: Any) -> str:
    """An id as a segment of a path (RFC 3986, section 3.3). Raises `ValueError` for a text that is the id of nothing."""
    if type(id) is not str:
        return str(id)
    if read_string(id) is None:
        raise ValueError("expected a text that can be an id")
    return quote(id, safe="")


def fits_list(id: Any) -> bool:
    """Whether an id may stand in a list of ids that is joined by commas."""
    return type(id) is not str or "," not in id
