"""Connections cut from the services' pages: a stretch of a list, each item with a cursor to continue behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import msgspec

from bff.graph.cursors import Position, cursor_of
from bff.graph.errors import BadUserInput
from bff.upstream.caller import Caller
from bff.upstream.errors import SourceError
from bff.upstream.source import MAX_LIMIT, BadCursor, Page, R, RestSource


@dataclass(frozen=True, slots=True)
class PageKey:
    """A stretch of a connection: `first` items behind `after`."""

    first: int
    after: str | None = None
    filters: tuple[tuple[str, str | None], ...] = ()


class Entry(msgspec.Struct, Generic[R], frozen=True):
    """An item of a connection, `skip` items behind the service's cursor `page`. `node` may be the error in its place."""

    page: str | None
    skip: int
    node: R | SourceError

    @property
    def cursor(self) -> str:
        """Continues behind it. Made when it is asked for: `nodes` needs none."""
        return cursor_of(self.page, self.skip)


@dataclass(frozen=True, slots=True)
class PageSlice(Generic[R]):
    """What a connection shows: `first` items or fewer, and whether there are more. `stale_s` as `Page` has it."""

    entries: Sequence[Entry[R]]
    has_next: bool
    has_previous: bool
    total: int
    stale_s: float | None = None


async def load_slice(source: RestSource[R], caller: Caller, key: PageKey) -> PageSlice[R]:
    """`key.first` items behind `key.after`, in one call, or in two where the cursor lies far inside a page.

    Raises `BadUserInput` for a cursor that is none, `SourceError`.
    """
    start = Position.decode(key.after)
    filters = dict(key.filters)
    try:
        page = await source.page(caller, limit=min(start.skip + key.first, MAX_LIMIT), cursor=start.page, **filters)
        entries = _entries(page, start)
        following = page
        if len(entries) < key.first and page.next_cursor is not None:
            # A service may end its page before the place where it ended it last: then there is more to skip.
            rest = Position(page.next_cursor, max(start.skip - len(page.items), 0))
            limit = min(rest.skip + key.first - len(entries), MAX_LIMIT)
            following = await source.page(caller, limit=limit, cursor=rest.page, **filters)
            entries += _entries(following, rest)
    except BadCursor as error:
        raise BadUserInput("after: this is no cursor of this connection.") from error
    ages = [each.stale_s for each in (page, following) if each.stale_s is not None]
    stale_s = max(ages, default=None)
    return PageSlice(entries, following.next_cursor is not None, key.after is not None, page.total, stale_s)


def _entries(page: Page[R], start: Position) -> list[Entry[R]]:
    """The page's items behind `start`. The last one's cursor is the service's own, where it gave one."""
    entries = [Entry(start.page, number, item) for number, item in enumerate(page.items, start=1) if number > start.skip]
    if entries and page.next_cursor is not None:
        entries[-1] = Entry(page.next_cursor, 0, entries[-1].node)
    return entries
