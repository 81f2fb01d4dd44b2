"""The library's own tests, in memory: in front of its demo services, and of services of canned answers."""

import pytest

from bff import Viewer
from bff.testing import BlockingGateway, Clock, Scripted
from datasources.demo.data import id_of

ANN, BEA = Viewer("ann"), Viewer("bea")
LIBRARIAN = Viewer("mo", frozenset({"librarian"}))
BOOK = id_of("book", 1)
REVIEWS = "query Reviews($id: ID!) { book(id: $id) { reviews { id } } }"
UNPUBLISHED = '{ review(id: "r-3") { stars } }'


@pytest.mark.parametrize(("viewer", "ids"), [(None, ["r-1", "r-2"]), (BEA, ["r-1", "r-2"]), (ANN, ["r-1", "r-2", "r-3"])])
def test_a_review_that_is_not_published_is_seen_by_its_writer_only(
    gateway: BlockingGateway, viewer: Viewer | None, ids: list[str]
) -> None:
    """In a list it is left out, and by its id it does not exist."""
    answer = gateway.ask("reader", REVIEWS, {"id": BOOK}, viewer=viewer)
    assert [review["id"] for review in answer.data["book"]["reviews"]] == ids
    assert (gateway.ask("reader", UNPUBLISHED, viewer=viewer).data["review"] is None) == ("r-3" not in ids)


def test_the_desk_sees_every_review(gateway: BlockingGateway) -> None:
    """Staff are not bound by the rule."""
    answer = gateway.ask("desk", '{ anyReview(id: "r-3") { writerId } }', viewer=LIBRARIAN)
    assert answer.data == {"anyReview": {"writerId": "ann"}}


def test_the_desk_is_for_librarians(gateway: BlockingGateway) -> None:
    """Others are refused."""
    assert gateway.ask("desk", "{ __typename }", viewer=ANN).status == 403


class TestWhileReviewsAreDown:
    """Services of canned answers, in place of the demo services."""

    @pytest.fixture
    def services(self) -> dict[str, Scripted]:
        """One book."""
        book = {"id": BOOK, "title": "T", "authorId": id_of("author", 1), "year": 1901, "genre": "novel"}
        return {"books": Scripted({f"/books/{BOOK}": book}), "reviews": Scripted({"/reviews": {"items": []}})}

    def test_the_book_is_still_shown(self, gateway: BlockingGateway, services: dict[str, Scripted], clock: Clock) -> None:
        """Reviews are null with an error, and are back once their breaker lets a call through."""
        query = f'{{ book(id: "{BOOK}") {{ title reviews {{ id }} }} }}'
        services["reviews"].fail(500)
        for _ in range(10):
            answer = gateway.ask("reader", query)
            assert answer.data == {"book": {"title": "T", "reviews": None}}
        assert "reviews" not in [source for source, _, _ in answer.calls]
        services["reviews"].recover()
        clock.advance(31)
        assert gateway.ask("reader", query).data == {"book": {"title": "T", "reviews": []}}
