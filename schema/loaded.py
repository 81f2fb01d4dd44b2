"""The field that is loaded by key.

A relation's resolver returns a key; the field's extension loads it. So resolvers stay one line, and whoever executes the
operation may collect a level's keys and hand them over as one batch.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from strawberry.extensions import FieldExtension

from schema.context import Context, Info, PartialError


class Loaded(FieldExtension):
    """The field's resolver returns a key, or None; its value is what the loader of that name has for it.

    Attributes:
        loader: the name of one of `Loaders`.
        show: makes the field's value of what was loaded; a pure function of it and the context. What is None stays so.
    """

    def __init__(self, loader: str, show: Callable[[Any, Context], Any] | None = None) -> None:
        self.loader = loader
        self.show = show

    def resolve(self, next_: Callable[..., Any], source: Any, info: Info, **kwargs: Any) -> Any:
        """The loader's future; or a coroutine, where the value is to be made of it first."""
        key = next_(source, info, **kwargs)
        if key is None:
            return None
        return self._finish(getattr(info.context.loaders, self.loader).load(key), info)

    def _finish(self, loading: Awaitable[Any], info: Info) -> Awaitable[Any]:
        return loading if self.show is None else self._shown(loading, info)

    async def _shown(self, loading: Awaitable[Any], info: Info) -> Any:
        value = await loading
        return None if value is None or self.show is None else self.show(value, info.context)


class LoadedList(Loaded):
    """As `Loaded`, for a list. An item that failed is left out and told in `errors`, so that it costs nothing but itself."""

    async def _finish(self, loading: Awaitable[Any], info: Info) -> Any:
        value = await super()._finish(loading, info)
        if value is None:
            return None
        failed = [item for item in value if isinstance(item, Exception)]
        if not failed:
            return value
        path = info.path.as_list()
        info.context.partial_errors.extend(PartialError(error, path) for error in failed)
        return [item for item in value if not isinstance(item, Exception)]
