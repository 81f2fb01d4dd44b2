"""How a service's pages are requested, and how a reply tells where the next page begins.

A *token* marks the beginning of a page. The gateway puts it into its own cursors, so a client can send any text as a token:
each convention checks it, and uses it as the value of the one parameter that is meant for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

MOST_ITEMS = 200
"""The largest number of items in one page, unless the read sets a smaller one."""

_LAST_OFFSET = 10**9
_OFFSET = re.compile(r"[1-9][0-9]{0,9}\Z")
_LONGEST_TOKEN = 2048
_LONGEST_LINK = 8192
_MOST_PARAMETERS = 50
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE)


NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class InHeader:
    """The header with the length of the whole list: `total=InHeader("X-Total-Count")`."""

    name: str


class BadToken(Exception):
    """A text that is no token of this convention."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page.

    Attributes:
        query: its parameters.
        skip: items at the beginning of the reply that come before the wanted ones.
        size: the number of items that the reply has unless it is the last page.
    """

    query: Mapping[str, str | None]
    skip: int
    size: int


@dataclass(frozen=True, slots=True)
class PageReply:
    """What a reply says about the pages.

    Attributes:
        count: the number of wanted items in it: without those that are skipped.
        used: how many of these are used.
        is_full: whether the page has as many items as were requested.
        next: the value at the convention's place in the body; None if it reads none there, or nothing is there.
        total: the length of the whole list; None if it is not known.
        last_id: the id of the last item that is used, as text; None if there is none or it can't be read.
        headers: the reply's headers, by lower-case names.
    """

    count: int
    used: int
    is_full: bool
    next: Any
    total: int | None
    last_id: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Paging:
    """The base of the conventions below.

    Attributes:
        next_type: the type of what the body says about the next page.
        reads_headers: whether `following` reads the reply's headers.
    """

    next_type: ClassVar[type] = str
    reads_headers: ClassVar[bool] = False

    @property
    def next_path(self) -> str | None:
        """Where the body says what follows; None if it doesn't."""
        return None

    @property
    def unknown(self) -> frozenset[int]:
        """The statuses with which a service refuses a token that it doesn't know."""
        return frozenset({400})

    def parameters(self) -> tuple[str, ...]:
        """The names of its parameters."""
        raise NotImplementedError

    def request(self, token: str | None, limit: int, largest: int) -> PageRequest:
        """The request for `limit` items from a token on; None is the beginning. Raises `BadToken`.

        `largest` is the largest number of items in one page; `limit` is not larger.
        """
        raise NotImplementedError

    def following(self, token: str | None, reply: PageReply) -> str | None:
        """The token of what follows the items that are used; None if nothing does."""
        raise NotImplementedError


def _checked(token: str | None) -> str | None:
    if token is not None and not (0 < len(token) <= _LONGEST_TOKEN):
        raise BadToken
    return token


@dataclass(frozen=True, slots=True)
class Cursor(Paging):
    """The body has the next page's cursor: `GET /parts?limit=20&cursor=C`, `{"items": […], "nextCursor": "D"}`.

    Attributes:
        parameter: of the cursor.
        limit: the parameter of the number of items.
        at: where the body has the next cursor. Null, nothing or an empty text: it is the last page.
        is_url: whether there is the next page's URL, whose `parameter` is the cursor.
    """

    parameter: str = "cursor"
    limit: str = "limit"
    at: str = "nextCursor"
    is_url: bool = False

    @property
    def next_path(self) -> str | None:
        """See `Paging`."""
        return self.at

    def parameters(self) -> tuple[str, ...]:
        """See `Paging`."""
        return self.limit, self.parameter

    def request(self, token: str | None, limit: int, largest: int) -> PageRequest:  # noqa: ARG002 - `limit` is within it
        """See `Paging`."""
        return PageRequest({self.limit: str(limit), self.parameter: _checked(token)}, 0, limit)

    def following(self, token: str | None, reply: PageReply) -> str | None:  # noqa: ARG002 - it is told
        """See `Paging`."""
        if not reply.next:
            return None
        return parameter_of(reply.next, self.parameter) if self.is_url else str(reply.next)


@dataclass(frozen=True, slots=True)
class LinkHeader(Paging):
    """The header `Link` has the next page's URL (RFC 8288): `<https://…?page_info=D>; rel="next"`.

    Only the value of `parameter` is taken from the URL, never its host, path or other parameters.
    """

    reads_headers: ClassVar[bool] = True

    parameter: str
    limit: str = "limit"

    def parameters(self) -> tuple[str, ...]:
        """See `Paging`."""
        return self.limit, self.parameter

    def request(self, token: str | None, limit: int, largest: int) -> PageRequest:  # noqa: ARG002 - `limit` is within it
        """See `Paging`."""
        return PageRequest({self.limit: str(limit), self.parameter: _checked(token)}, 0, limit)

    def following(self, token: str | None, reply: PageReply) -> str | None:  # noqa: ARG002 - it is told
        """See `Paging`."""
        url = next_link(reply.headers.get("link", ""))
        return None if url is None else parameter_of(url, self.parameter)


@dataclass(frozen=True, slots=True)
class LastId(Paging):
    """The last item's id is the cursor: `GET /parts?limit=20&starting_after=7`, `{"data": […], "has_more": true}`.

    Attributes:
        parameter: of the id.
        limit: the parameter of the number of items.
        more: where the body says whether more follows.
    """

    next_type: ClassVar[type] = bool

    parameter: str = "starting_after"
    limit: str = "limit"
    more: str = "has_more"

    @property
    def next_path(self) -> str | None:
        """See `Paging`."""
        return self.more

    def parameters(self) -> tuple[str, ...]:
        """See `Paging`."""
        return self.limit, self.parameter

    def request(self, token: str | None, limit: int, largest: int) -> PageRequest:  # noqa: ARG002 - `limit` is within it
        """See `Paging`."""
        return PageRequest({self.limit: str(limit), self.parameter: _checked(token)}, 0, limit)

    def following(self, token: str | None, reply: PageReply) -> str | None:  # noqa: ARG002 - it is told
        """See `Paging`."""
        return reply.last_id if reply.next is True or reply.used < reply.count else None


@dataclass(frozen=True, slots=True)
class Offset(Paging):
    """The number of items before the page: `GET /parts?limit=20&offset=40`."""

    offset: str = "offset"
    limit: str = "limit"

    def parameters(self) -> tuple[str, ...]:
        """See `Paging`."""
        return self.limit, self.offset

    def request(self, token: str | None, limit: int, largest: int) -> PageRequest:  # noqa: ARG002 - `limit` is within it
        """See `Paging`."""
        return PageRequest({self.limit: str(limit), self.offset: str(_offset_of(token))}, 0, limit)

    def following(self, token: str | None, reply: PageReply) -> str | None:
        """See `Paging`."""
        return _next_offset(_offset_of(token), reply)


@dataclass(frozen=True, slots=True)
class PageNumber(Paging):
    """The page's number: `GET /parts?per_page=20&page=3`. The token is an offset, since clients may change the page's size.

    Attributes:
        page: the parameter of the number.
        size: the parameter of the number of items; None if the service has a fixed size, which is the read's `largest`.
        first: the number of the first page.
    """

    page: str = "page"
    size: str | None = "per_page"
    first: int = 1

    @property
    def unknown(self) -> frozenset[int]:
        """See `Paging`. Many services answer 404 beyond the last page."""
        return frozenset({400, 404})

    def parameters(self) -> tuple[str, ...]:
        """See `Paging`."""
        return (self.page,) if self.size is None else (self.size, self.page)

    def request(self, token: str | None, limit: int, largest: int) -> PageRequest:
        """See `Paging`."""
        offset = _offset_of(token)
        size = largest if self.size is None else _page_size(offset, limit, largest)
        number, skip = divmod(offset, size)
        query = {self.page: str(number + self.first)}
        return PageRequest(query if self.size is None else {self.size: str(size), **query}, skip, size)

    def following(self, token: str | None, reply: PageReply) -> str | None:
        """See `Paging`."""
        return _next_offset(_offset_of(token), reply)


@lru_cache(maxsize=4096)
def _page_size(offset: int, limit: int, largest: int) -> int:
    """The smallest page size with which one page has all `limit` items from `offset` on; else the largest size."""
    for size in range(limit, largest + 1):
        if offset // size == (offset + limit - 1) // size:
            return size
    return largest


def _offset_of(token: str | None) -> int:
    if token is None:
        return 0
    if not _OFFSET.match(token) or int(token) > _LAST_OFFSET:
        raise BadToken
    return int(token)


def _next_offset(offset: int, reply: PageReply) -> str | None:
    """The offset after the used items; None at the end: as the total says, or because the page was not full."""
    after = offset + reply.used
    if not reply.used or after > _LAST_OFFSET:
        return None
    has_more = reply.is_full or reply.used < reply.count if reply.total is None else after < reply.total
    return str(after) if has_more else None


def next_link(header: str) -> str | None:
    """The URL of the first link with the relation `next` (RFC 8288, section 3); None if there is none."""
    if len(header) > _LONGEST_LINK:
        return None
    for match in _LINK.finditer(header):
        for quoted, plain in _NEXT.findall(match[2]):
            if "next" in (quoted or plain).lower().split():
                return match[1]
    return None


def parameter_of(url: Any, name: str) -> str | None:
    """The value of a query parameter of a URL; None if there is none, or it can't be read."""
    if not isinstance(url, str) or len(url) > _LONGEST_LINK:
        return None
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return None
    value = next((value for key, value in pairs if key == name), None)
    return value if value and len(value) <= _LONGEST_TOKEN else None
