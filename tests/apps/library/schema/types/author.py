"""An author and their books."""

from typing import TYPE_CHECKING, Annotated

import strawberry
from datasources.books import Books

from bff import field, many
from schema.variants import BOTH

if TYPE_CHECKING:
    from schema.types.book import Book


@strawberry.type(description="An author of books.")
class Author:
    """Resolved from `datasources.authors.Author`."""

    id: strawberry.ID = field(*BOTH)
    name: str = field(*BOTH)
    books: list[Annotated["Book", strawberry.lazy("schema.types.book")]] | None = many(*BOTH, read=Books.of_author)
