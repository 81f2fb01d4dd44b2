"""The authors service."""

from uuid import UUID

from bff import ById, Record, Source


class Author(Record, frozen=True, kw_only=True):
    """An author of books."""

    id: UUID
    name: str


class Authors(Source[Author], forward_identity=False):
    """`/authors`: one and many."""

    path = "/authors"
    by_id = ById()
