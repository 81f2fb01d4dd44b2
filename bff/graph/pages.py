"""Slices of connections, cut from the services' pages. Each item has a cursor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import msgspec

from bff.graph.cursors import Position, cursor_of
from bff.graph.errors import BadUserInput
from bff.upstream.caller import Caller
from bff.upstream.conventions.paging import MOST_ITEMS
from bff.upstream.errors import SourceError
from bff.upstream.loads import BadCursor, Page, ReadPages
from bff.upstream.reads import PageKey
from bff.upstream.records import R


class Entry(msgspec.Struct, Generic[R], frozen=True):
    """An item of a connection, `skip` items after the service's cursor `page`. `node` may be the error in its place."""

    page: str | None
    skip: int
    node: R | SourceError | None

    @property
    def cursor(self) -> str:
        """The item's cursor. It is encoded on demand, because `nodes` needs none."""
        return cursor_of(self.page, self.skip)


@dataclass(frozen=True, slots=True)
class PageSlice(Generic[R]):
    """The content of a connection: at most `first` items, and whether there are more. `stale_s` is as in `Page`."""

    entries: Sequence[Entry[R]]
    has_next: bool
    has_previous: bool
    total: int | None
    stale_s: float | None = None


async def load_slice(pages: ReadPages[R], caller: Caller, key: PageKey) -> PageSlice[R]:
    """`key.first` items after `key.after`: in one call, or in two if the cursor is far inside a page.

    Raises `BadUserInput` for a cursor that is not one of this connection, `SourceError`.
    """
    start = Position.decode(key.after)
    filters = dict(key.filters)
    try:
        page = await pages.load(caller, limit=min(start.skip + key.first, MOST_ITEMS), cursor=start.page, **filters)
        entries = _entries(page, start)
        following = page
        if len(entries) < key.first and page.next_cursor is not None:
            # The page may be shorter than it was when the cursor was made: then items of the next one must be skipped.
            rest = Position(page.next_cursor, max(start.skip - len(page.items), 0))
            limit = min(rest.skip + key.first - len(entries), MOST_ITEMS)
            following = await pages.load(caller, limit=limit, cursor=rest.page, **filters)
            entries += _entries(following, rest)
    except BadCursor as error:
        raise BadUserInput("after: this is not a cursor of this connection.") from error
    ages = [each.stale_s for each in (page, following) if each.stale_s is not None]
    stale_s = max(ages, default=None)
    return PageSlice(entries, following.next_cursor is not None, key.after is not None, page.total, stale_s)


def _entries(page: Page[R], start: Position) -> list[Entry[R]]:
    """The page's items after `start`. The last one gets the service's own cursor, if there is one."""
    entries = [Entry(start.page, number, item) for number, item in enumerate(page.items, start=1) if number > start.skip]
    if entries and page.next_cursor is not None:
        entries[-1] = Entry(page.next_cursor, 0, entries[-1].node)
    return entries


def most_calls(largest: int, first: int, after: str | None) -> int:
    """The calls of `load_slice` for `first` items after the cursor `after`, each after the one before.

    `largest` is the number of items of the service's largest page. Pages that are shorter than requested need more calls.
    """
    try:
        skip = Position.decode(after).skip
    except BadUserInput:
        return 1
    wanted = min(skip + first, MOST_ITEMS)
    rest = min(skip + first - wanted, MOST_ITEMS)
    return max(1, -(-wanted // largest) - (-rest // largest))
