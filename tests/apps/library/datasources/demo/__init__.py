"""The library's demo services: real HTTP, the same data in each process."""

from collections.abc import Mapping

from starlette.types import ASGIApp

from bff import DemoOptions
from datasources.demo.data import AUTHORS, BOOKS, REVIEWS
from datasources.demo.rest import Resource, reviews_of


def services(options: DemoOptions) -> Mapping[str, ASGIApp]:
    """The services by the name of their source."""
    known = {book["id"] for book in BOOKS}
    return {
        "authors": Resource("/authors", AUTHORS, options).app(),
        "books": Resource("/books", BOOKS, options, owners={"authorIds": "authorId"}, texts=("title",)).app(),
        "reviews": reviews_of([dict(each) for each in REVIEWS], known, options).app(),
    }
