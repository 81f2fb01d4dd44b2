"""The authors of a service of other conventions."""

from uuid import UUID

from datasources.api import LibraryApi

from bff import ById, Record
from bff.conventions import OneByOne


class Author(Record, frozen=True, kw_only=True, rename=None):
    """An author of books."""

    id: UUID
    name: str


class Authors(LibraryApi):
    """`/v2/authors/{id}`, one at a time."""

    record = Author
    path = "/v2/authors"
    by_id = ById(OneByOne())
