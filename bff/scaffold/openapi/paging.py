"""How a list is paged: told from the names of its parameters, its reply's members and its headers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bff.conventions import Cursor, InHeader, LastId, LinkHeader, Offset, PageNumber
from bff.scaffold.code import is_harmless
from bff.scaffold.openapi.document import Notes, Parameter
from bff.scaffold.openapi.findings import ReadPages
from bff.scaffold.openapi.schemas import Schema, Schemas
from bff.scaffold.openapi.words import plain
from bff.upstream.conventions import Paging

_SIZES = (
    *("limit", "perpage", "pagesize", "size", "pagelimit", "maxresults", "maxitems", "count", "take", "top", "first"),
    *("rows", "max"),
)
_CURSORS = (
    *("cursor", "pagecursor", "pagetoken", "nexttoken", "continuationtoken", "continuation", "nextcursor", "marker"),
    *("pageafter", "after", "pageinfo", "startingafter", "startafter", "scrollid", "offsettoken", "since", "sinceid"),
)
_LAST_IDS = ("startingafter", "afterid", "startafter", "lastid", "after", "sinceid")
_OFFSETS = ("offset", "skip", "pageoffset", "startat", "startindex", "start", "from")
_PAGES = ("page", "pagenumber", "pageno", "pageindex", "p", "currentpage")
_AMBIGUOUS = frozenset({"since", "from", "start", "after", "max", "marker", "first", "top", "count", "size", "rows", "p"})
"""Names that a filter may have too: `since` is a time, or where a page begins."""

_NEXT = (
    *("nextcursor", "nextpagetoken", "nexttoken", "endcursor", "continuationtoken", "nextmarker", "nextpage", "nextlink"),
    *("nexturl", "next", "after", "continuation", "cursor", "marker"),
)
_LINKS = frozenset({"links", "link", "pages"})
_URLS = frozenset({"uri", "url", "uri-reference"})
_MORE = ("hasmore", "more", "hasnext", "hasnextpage")
_TOTALS = (
    *("total", "totalcount", "totalitems", "totalelements", "totalresults", "totalrecords", "totalsize", "totalentries"),
    *("itemstotal", "recordcount", "numfound"),
)
_TOTAL_HEADERS = ("xtotalcount", "xtotal", "totalcount", "xpaginationtotal", "paginationtotal", "xtotalitems", "xcount")
_RANGE = re.compile(r"(?:\bmax(?:imum)?\b\D{0,20}|\b1 (?:and|to) |\b1-)(\d{1,6})\b", re.IGNORECASE)
_LARGEST = 200
MOST_FIRST = 100
"""The largest `first` of a field."""
_FEWEST = 10
_ASSUMED = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """The description of a list: its query's parameters, its reply's members by their paths, its headers by plain names."""

    query: Mapping[str, Parameter]
    body: Mapping[str, Schema]
    headers: Mapping[str, str]

    def parameter(self, names: Iterable[str]) -> str | None:
        """The query's parameter with the first of these names."""
        known = {plain(name): name for name in self.query if is_harmless(name)}
        return next((known[name] for name in names if name in known), None)

    def member(self, names: Iterable[str], *kinds: str) -> str | None:
        """The path of the reply's member with the first of these names and one of these kinds."""
        for name in names:
            for path, schema in self.body.items():
                last = plain(path.rpartition(".")[2])
                is_link = last == "href" and plain(path.rpartition(".")[0].rpartition(".")[2]) == name
                if (last == name or is_link) and schema.kind in kinds:
                    return path
        return None


def size_of(listed: Listed) -> str | None:
    """The parameter with the number of items."""
    return listed.parameter(_SIZES)


def is_of_pages(name: str) -> bool:
    """Whether a parameter is about pages and nothing else, also where another one is used: it is no filter."""
    return plain(name) in {*_SIZES, *_CURSORS, *_LAST_IDS, *_OFFSETS, *_PAGES, "endingbefore"} - _AMBIGUOUS


def pages_of(schemas: Schemas, listed: Listed, place: str, notes: Notes) -> ReadPages | None:
    """How the list is paged; None if it is not, or if it can't be told: then with a note."""
    size = size_of(listed)
    by = _by(schemas, listed, size, notes)
    if by is None or size is None:
        return None
    largest = _largest(schemas, listed, size, notes)
    if largest is None:
        return None
    return ReadPages(by, _total(listed, place), largest)


def _by(schemas: Schemas, listed: Listed, size: str | None, notes: Notes) -> Paging | None:
    cursor, last_id = listed.parameter(_CURSORS), listed.parameter(_LAST_IDS)
    offset, page = listed.parameter(_OFFSETS), listed.parameter(_PAGES)
    if size is None:
        what = "a parameter of the number of items" if cursor or offset or page else "parameters of pages"
        notes.add(f"pages: expected {what}: no connection is written; see Pages in docs/services.md")
        return None
    following = listed.member(_NEXT, "string")
    if page and following and schemas.read(listed.query[page].schema).kind == "string":
        cursor = page  # a token under the name of a page
    found: Paging | None = None
    if cursor and following:
        found = Cursor(cursor, size, following, is_url=_is_url(listed, following))
    elif last_id and (more := listed.member(_MORE, "boolean")):
        found = LastId(last_id, size, more)
    elif offset:
        found = Offset(offset, size)
    elif page:
        found = PageNumber(page, size, _first_page(schemas, listed, page))
    elif cursor and "link" in listed.headers:
        found = LinkHeader(cursor, size)
    elif cursor:
        notes.add(f"pages: expected where the reply has the next value of {cursor}: no connection is written")
    else:
        notes.add("pages: expected a parameter that says where a page begins: no connection is written")
    return found


def _is_url(listed: Listed, path: str) -> bool:
    """Whether a member has the next page's URL."""
    above, _, last = path.rpartition(".")
    schema = listed.body[path]
    description = schema.node.get("description")
    says_so = isinstance(description, str) and "url" in description[:1000].lower()
    is_named_so = plain(last) in {"href", "nextlink", "nexturl"} or plain(above.rpartition(".")[2]) in _LINKS
    return is_named_so or says_so or schema.format in _URLS


def _first_page(schemas: Schemas, listed: Listed, page: str) -> int:
    schema = schemas.read(listed.query[page].schema)
    default = schema.number("default")
    if default in {0, 1}:
        return default or 0
    return 0 if schema.number("minimum") == 0 else 1


def largest_of(schemas: Schemas, listed: Listed, size: str) -> int | None:
    """The largest value of the parameter of the number of items; None if it is not described."""
    parameter = listed.query[size]
    schema = schemas.read(parameter.schema)
    if (found := schema.number("maximum")) is not None:
        return found
    described = schema.node.get("description")
    texts = (parameter.description, described[:1000] if isinstance(described, str) else "")
    matched = next((match for match in map(_RANGE.search, texts) if match), None)
    return None if matched is None else int(matched[1])


def note_limit(schemas: Schemas, listed: Listed, size: str | None, where: str, notes: Notes) -> None:
    """Note what a list by owner can't have: more items than the service gives, or those after its first page."""
    if size is None:
        if listed.parameter((*_CURSORS, *_OFFSETS, *_PAGES)) is not None:
            notes.add(f"{where}: has pages, but no parameter of the number of items: only its first page is read")
    elif (largest := largest_of(schemas, listed, size)) is not None and largest < MOST_FIRST:
        notes.add(f"{where}: the service takes a {size} of at most {largest}: it refuses a field with a larger first")


def _largest(schemas: Schemas, listed: Listed, size: str, notes: Notes) -> int | None:
    """The largest size of a page, within what the gateway takes; None if the service has smaller ones."""
    found = largest_of(schemas, listed, size)
    if found is None:
        notes.add(f"pages: the largest {size} is not described: {_ASSUMED} is assumed; see largest of Pages")
        return _ASSUMED
    if found < _FEWEST:
        notes.add(f"pages: at most {found} items are in a page, which is too few: no connection is written")
        return None
    return min(found, _LARGEST)


def _total(listed: Listed, place: str) -> str | InHeader | None:
    """Where the length of the whole list is."""
    if place:  # a bare array has no members
        names = (*_TOTALS, "count") if place == "results" else _TOTALS
        if path := listed.member(names, "integer"):
            return path
    header = next((listed.headers[name] for name in _TOTAL_HEADERS if name in listed.headers), None)
    return None if header is None else InHeader(header)
