"""The reviews of a service of other conventions."""

from uuid import UUID

from datasources.api import LibraryApi

from bff import ById, Caller, Int32, ListBy, Record
from bff.conventions import OneByOne


class Review(Record, frozen=True, kw_only=True, rename=None):
    """What a reader thinks of a book. Its id is a string, as `r-1`."""

    id: str
    book_id: UUID
    writer_id: str
    stars: Int32
    text: str
    published: bool


class Reviews(LibraryApi, forward_identity=True):
    """`/v2/reviews`: by id, by book, by writer, and a new one, of which the service answers the place alone."""

    record = Review
    path = "/v2/reviews"
    by_id = ById(OneByOne())
    of_book = ListBy("book_id", many=OneByOne("book"))
    of_writer = ListBy("writer_id", many=OneByOne("writer"))

    async def post(self, caller: Caller, book_id: UUID, stars: int, text: str, *, key: str) -> Review:
        """Write a review, which is not published yet. Raises `Rejected`, `SourceError`."""
        body = {"book_id": str(book_id), "stars": stars, "text": text}
        made: Review = await self.write(caller, "POST", "/v2/reviews", body, key=key, reads_back=True)
        return made
