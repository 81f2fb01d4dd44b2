"""A book, with its author and its reviews."""

import strawberry
from datasources.authors import Authors
from datasources.books import Genre
from datasources.reviews import Reviews

from bff import computed, enum, field, many, one
from schema.types.author import Author
from schema.types.review import Review
from schema.variants import BOTH, DESK

enum(description="What kind of book it is.")(Genre)


@strawberry.type(description="A book that can be borrowed.")
class Book:
    """Resolved from `datasources.books.Book`."""

    id: strawberry.ID = field(*BOTH)
    title: str = field(*BOTH)
    year: int = field(*BOTH)
    genre: Genre = field(*BOTH)
    author: Author | None = one(*BOTH, read=Authors.by_id, key="author_id")
    reviews: list[Review] | None = many(*BOTH, read=Reviews.of_book)

    @computed(DESK, description="Where it stands: the genre's first letter and the year.")
    def shelf(self) -> str:
        """The label on its back."""
        return f"{self.genre[0].upper()}-{self.year}"
