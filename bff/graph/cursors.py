"""Cursors of connections (Relay cursor connections specification).

The services' cursors mark only the ends of pages. An edge's cursor consists of the service's cursor at which its page began
and the number of items to skip from there. So `after` accepts the cursor of any edge.
"""

import base64
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from bff.graph.errors import BadUserInput
from bff.upstream.conventions.paging import MOST_ITEMS

_LONGEST = 8192
_LONGEST_KEPT = 128
_decoder = msgspec.json.Decoder(tuple[str | None, int])


@dataclass(frozen=True, slots=True)
class Position:
    """A position between two items: `skip` items after the service's cursor `page` (None is the beginning of the list)."""

    page: str | None = None
    skip: int = 0

    def encode(self) -> str:
        """The opaque cursor."""
        return base64.urlsafe_b64encode(msgspec.json.encode((self.page, self.skip))).rstrip(b"=").decode("ascii")

    @classmethod
    def decode(cls, cursor: str | None) -> "Position":
        """The position that a cursor encodes; for None the beginning. Raises `BadUserInput`."""
        if cursor is None:
            return cls()
        position = cls._read(cursor)
        if position is None:
            raise BadUserInput("after: this is not a cursor of this connection.")
        return position

    @classmethod
    def _read(cls, cursor: str) -> "Position | None":
        if len(cursor) > _LONGEST:
            return None
        try:
            page, skip = _decoder.decode(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        except ValueError:  # the base class of the errors of base64 and msgspec
            return None
        return cls(page, skip) if 0 <= skip <= MOST_ITEMS else None


def cursor_of(page: str | None, skip: int) -> str:
    """The cursor of the position `skip` items after the service's cursor `page`."""
    if page is None or len(page) <= _LONGEST_KEPT:
        return _usual(page, skip)
    return Position(page, skip).encode()


@lru_cache(maxsize=4096)
def _usual(page: str | None, skip: int) -> str:
    """Cached, because most requests are for first pages and encode the same cursors."""
    return Position(page, skip).encode()
