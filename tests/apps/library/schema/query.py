"""The query type of the library."""

from typing import Any

import strawberry
from datasources.authors import Authors
from datasources.books import Books
from datasources.reviews import Reviews

from bff import Access, Connection, Info, LoadedList, computed, connection, lookup
from schema.types.author import Author
from schema.types.book import Book
from schema.types.review import Review
from schema.variants import BOTH, DESK, READER

MOST_OWN = 50


@strawberry.type(description="The root type of queries.")
class Query:
    """The fields at the root."""

    author: Author | None = lookup(*BOTH, read=Authors.by_id)
    book: Book | None = lookup(*BOTH, read=Books.by_id)
    books: Connection[Book] | None = connection(*BOTH, read=Books.page, description="The catalogue, by title.")
    review: Review | None = lookup(READER, read=Reviews.by_id)
    any_review: Review | None = lookup(DESK, read=Reviews.by_id, access=Access(role="librarian"))

    @computed(
        READER,
        type=list[Review] | None,
        extensions=[Access(), LoadedList(Reviews.of_writer)],
        size=MOST_OWN,
        description="What the viewer has written, the newest first.",
    )
    def my_reviews(self, info: Info) -> Any:
        """The key of the viewer's reviews."""
        return Reviews.of_writer.key(info.context.signed_in().sub, MOST_OWN)
