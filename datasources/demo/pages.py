"""The three reads of every service: one record, several by id, a page of all.

Parameters are checked strictly: anything but integers, limits from 1 to 200 and the table's own cursors is a 400. A cursor
marks only the end of a page. So it can be used with any limit and filter, and stays valid when records change.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from datasources.demo.data import R, Table
from datasources.demo.problems import Problem

MAX_IDS: Final = 200
MAX_LIMIT: Final = 200
DEFAULT_LIMIT: Final = 20

# Integers in JSON's notation, of at most 18 digits, so that each fits into 64 bits.
_ID: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_IDS: Final = re.compile(rf"{_ID.pattern}(?:,{_ID.pattern})*")


def parse_id(text: str) -> int:
    """The id at the end of a path."""
    if not _ID.fullmatch(text):
        raise Problem(400, f"An id is an integer, not {_quoted(text)}.")
    return int(text)


def parse_ids(name: str, text: str) -> list[int]:
    """The ids of a parameter such as `ids=3,1,2`, each once, in order; none if it is empty."""
    if not text:
        return []
    if not _IDS.fullmatch(text):
        raise Problem(400, f"{name} is integers with commas between them, not {_quoted(text)}.")
    parts = text.split(",")
    if len(parts) > MAX_IDS:
        raise Problem(400, f"{name} has at most {MAX_IDS} ids, not {len(parts)}.")
    return list(dict.fromkeys(map(int, parts)))


def parse_limit(query: Mapping[str, str]) -> int:
    """The value of the parameter `limit`, or its default. Raises `Problem` (400)."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise Problem(400, f"limit is an integer from 1 to {MAX_LIMIT}, not {_quoted(text)}.")
    return int(text)


def found(table: Table[R], id_: int) -> R:
    """The record. Raises a 404 if there is none."""
    record = table.get(id_)
    if record is None:
        raise Problem(404, f"There is no {table.noun} {id_}.")
    return record


def one(table: Table[R], id_: int) -> bytes:
    """The JSON of one record. Raises a 404 if there is none."""
    found(table, id_)
    return table.json((id_,))


def several(table: Table[R], ids: Iterable[int]) -> bytes:
    """The JSON of the existing records with these ids."""
    return b'{"items":[%b]}' % table.json(ids)


def page(table: Table[R], ids: Sequence[int], query: Mapping[str, str], *, newest_first: bool = False) -> bytes:
    """The JSON of one page of the records with these ids, which are ascending."""
    limit = parse_limit(query)
    cursor = query.get("cursor")
    after = None if cursor is None else _parse_cursor(table.noun, cursor)
    if newest_first:
        end = len(ids) if after is None else bisect_left(ids, after)
        start = max(0, end - limit)
        shown, more = ids[start:end][::-1], start > 0
    else:
        start = 0 if after is None else bisect_right(ids, after)
        end = start + limit
        shown, more = ids[start:end], end < len(ids)
    next_cursor = b'"%b"' % _cursor(table.noun, shown[-1]) if more else b"null"
    return b'{"items":[%b],"nextCursor":%b,"total":%d}' % (table.json(shown), next_cursor, len(ids))


def _cursor(noun: str, last_id: int) -> bytes:
    return urlsafe_b64encode(f"{noun}:{last_id}".encode()).rstrip(b"=")


def _parse_cursor(noun: str, text: str) -> int:
    try:
        marked = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        marked = ""
    kind, _, last_id = marked.partition(":")
    # Base64 has several encodings of one text, and decoders skip unknown characters. Only our own encoding is accepted.
    if kind != noun or not _ID.fullmatch(last_id) or _cursor(noun, int(last_id)) != text.encode():
        raise Problem(400, f"cursor is the nextCursor of another page of {noun}s, not {_quoted(text)}.")
    return int(last_id)


def _quoted(text: str) -> str:
    """A value for an error message, shortened if it is long."""
    return repr(text if len(text) <= 40 else text[:40] + "…")
