"""What can be changed."""

import strawberry
from datasources.books import Books
from datasources.reviews import Reviews

from bff import Access, Info, UserError, computed, field, new_key, own_key, written
from schema.types.review import Review
from schema.variants import READER


@strawberry.input
class WriteReviewInput:
    """A new review. With the same key the same review is written once, however often it is sent."""

    book_id: strawberry.ID
    stars: int
    text: str
    idempotency_key: str | None = None


@strawberry.type
class WriteReviewPayload:
    """The review that was written, or what is wrong with it."""

    review: Review | None = field(READER)
    user_errors: list[UserError] = field(READER)


@strawberry.type(description="What can be changed in the library.")
class Mutation:
    """The writes."""

    @computed(READER, extensions=[Access()], weight=10, description="Write a review of a book.")
    async def write_review(self, info: Info, input: WriteReviewInput) -> WriteReviewPayload:
        """Raises `SignInNeeded`, `SourceError`."""
        context = info.context
        book_id = Books.read_id(input.book_id)
        if book_id is None:
            error = UserError(field=["bookId"], message="There is no such book.", code="NOT_FOUND")
            return WriteReviewPayload(review=None, user_errors=[error])
        chosen = input.idempotency_key
        key = new_key() if chosen is None else own_key(context.signed_in().sub, chosen)
        write = context.sources[Reviews].post(context.caller, book_id, input.stars, input.text, key=key)
        review, user_errors = await written(context, Reviews, write, thing="review", is_keyed=chosen is not None)
        return WriteReviewPayload(review=review, user_errors=user_errors)
