"""The sources of an application, bound to their services at start-up."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from bff.upstream.source import Source

S = TypeVar("S", bound=Source[Any])


class Sources:
    """Bound sources by their class: `context.sources[Orders].place(…)`."""

    def __init__(self, bound: Iterable[Source[Any]]) -> None:
        self._bound: dict[type[Source[Any]], Source[Any]] = {type(each): each for each in bound}

    def __repr__(self) -> str:
        return f"<Sources {', '.join(each.name for each in self)}>"

    def __getitem__(self, kind: type[S]) -> S:
        """The source of that class. Raises `LookupError` if the application does not have it."""
        found = self._bound.get(kind)
        if found is None:
            raise LookupError(f"{kind.__name__} is not among the application's sources")
        return found  # type: ignore[return-value] # its key is its type

    def __iter__(self) -> Iterator[Source[Any]]:
        """Every source, in the order in which the application names them."""
        return iter(self._bound.values())

    def named(self, name: str) -> Source[Any] | None:
        """The source of that name; None if there is none."""
        return next((each for each in self if each.name == name), None)
