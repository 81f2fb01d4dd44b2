"""The reviews service."""

from uuid import UUID

from bff import ById, Caller, Int32, ListBy, Record, Source


class Review(Record, frozen=True, kw_only=True):
    """What a reader thinks of a book. Its id is a string, as `r-1`."""

    id: str
    book_id: UUID
    writer_id: str
    stars: Int32
    text: str
    published: bool


class Reviews(Source[Review]):
    """`/reviews`: by id, by book, by writer, and a new one."""

    path = "/reviews"
    by_id = ById()
    of_book = ListBy("book_id")
    of_writer = ListBy("writer_id")

    async def post(self, caller: Caller, book_id: UUID, stars: int, text: str, *, key: str) -> Review:
        """Write a review, which is not published yet. Raises `Rejected` (409 key reused, 422), `SourceError`."""
        body = {"bookId": str(book_id), "stars": stars, "text": text}
        return await self.write(caller, "POST", "/reviews", body, key=key, is_it=lambda review: review.book_id == book_id)
