"""What is in the library: 8 authors with 5 books each, and reviews of the first books."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

_NAMES = ("Achebe", "Borges", "Calvino", "Dickinson", "Eliot", "Frame", "Gogol", "Heaney")
_GENRES = ("novel", "poetry", "essay")


def id_of(kind: str, number: int) -> str:
    """The UUID of an author or a book: the same each time (RFC 9562, section 5.5)."""
    return str(uuid5(NAMESPACE_URL, f"https://library.example/{kind}/{number}"))


AUTHORS: list[dict[str, Any]] = [
    {"id": id_of("author", number), "name": name} for number, name in enumerate(_NAMES, start=1)
]

BOOKS: list[dict[str, Any]] = [
    {
        "id": id_of("book", number),
        "title": f"Title {number:02}",
        "authorId": id_of("author", (number - 1) // 5 + 1),
        "year": 1900 + number,
        "genre": _GENRES[number % 3],
    }
    for number in range(1, 41)
]


def _review(id: str, book: int, writer: str, stars: int, *, published: bool = True) -> dict[str, Any]:
    text = f"{stars} stars, says {writer}."
    return {
        "id": id,
        "bookId": id_of("book", book),
        "writerId": writer,
        "stars": stars,
        "text": text,
        "published": published,
    }


REVIEWS: list[dict[str, Any]] = [
    _review("r-1", 1, "ann", 5),
    _review("r-2", 1, "bea", 3),
    _review("r-3", 1, "ann", 1, published=False),
    _review("r-4", 2, "bea", 4),
    _review("r/5,b 50%", 2, "cy", 2),
]
