"""The books service."""

from enum import StrEnum
from uuid import UUID

from bff import ById, CursorPages, Int32, ListBy, Record, Source


class Genre(StrEnum):
    """What kind of book it is."""

    NOVEL = "novel"
    POETRY = "poetry"
    ESSAY = "essay"


class Book(Record, frozen=True, kw_only=True):
    """A book."""

    id: UUID
    title: str
    author_id: UUID
    year: Int32
    genre: Genre


class Books(Source[Book], forward_identity=False):
    """`/books`: by id, by author, and pages of all."""

    path = "/books"
    by_id = ById()
    of_author = ListBy("author_id")
    page = CursorPages(exact=("genre",), filters=("title",))
