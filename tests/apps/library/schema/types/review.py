"""A review."""

from typing import TYPE_CHECKING, Annotated

import strawberry
from datasources.books import Books

from bff import field, one
from schema.variants import BOTH, DESK

if TYPE_CHECKING:
    from schema.types.book import Book


@strawberry.type(description="What a reader thinks of a book.")
class Review:
    """Resolved from `datasources.reviews.Review`."""

    id: strawberry.ID = field(*BOTH)
    stars: int = field(*BOTH)
    text: str = field(*BOTH)
    published: bool = field(*BOTH)
    writer_id: str = field(DESK)
    book: Annotated["Book", strawberry.lazy("schema.types.book")] | None = one(*BOTH, read=Books.by_id, key="book_id")
