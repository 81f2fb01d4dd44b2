"""The books of a service of other conventions."""

from enum import StrEnum
from uuid import UUID

from datasources.api import LibraryApi

from bff import ById, Int32, ListBy, Pages, Record
from bff.conventions import Offset, OneByOne


class Genre(StrEnum):
    """What kind of book it is."""

    NOVEL = "novel"
    POETRY = "poetry"
    ESSAY = "essay"


class Book(Record, frozen=True, kw_only=True, rename=None):
    """A book. A list by author leaves the author out."""

    id: UUID
    title: str
    author_id: UUID | None = None
    year: Int32
    genre: Genre


class Books(LibraryApi):
    """`/v2/books/{id}`, one at a time; `/v2/authors/{id}/books`; pages by offset, of 20 at most."""

    record = Book
    path = "/v2/books"
    by_id = ById(OneByOne())
    of_author = ListBy("author_id", many=OneByOne(path="/v2/authors/{key}/books"))
    page = Pages(Offset(), total="meta.total", largest=20, exact=("genre",), filters=("title",))
