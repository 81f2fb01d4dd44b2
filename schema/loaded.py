"""The field that is loaded by key, and what it shows when its source fails.

A relation's resolver returns a key; the field's extension loads it. So resolvers stay one line, and whoever executes the
operation may collect a level's keys and hand them over as one batch.

What a field shows, the better first: what is fresh; what is stale, and said to be so in `extensions.degraded`; its
declared fallback, said there too; null, with an error.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from strawberry.extensions import FieldExtension

from datasources.errors import BadAnswer, SourceError, TimedOut, Unavailable
from datasources.traffic.call import Stale
from schema.context import Context, Degraded, Info, PartialError

_FALLS_BACK_FROM = (Unavailable, TimedOut, BadAnswer)
"""A service's faults. That it does not allow something is no fault, and nothing to gloss over."""


class Loaded(FieldExtension):
    """The field's resolver returns a key, or None; its value is what the loader of that name has for it.

    Attributes:
        loader: the name of one of `Loaders`.
        show: makes the field's value of what was loaded; a pure function of it and the context. What is None stays so.
        fallback: makes the value to show where the source failed and nothing old is at hand; without it, that is an error.
    """

    def __init__(
        self,
        loader: str,
        show: Callable[[Any, Context], Any] | None = None,
        fallback: Callable[[Context], Any] | None = None,
    ) -> None:
        self.loader = loader
        self.show = show
        self.fallback = fallback

    def resolve(self, next_: Callable[..., Any], source: Any, info: Info, **kwargs: Any) -> Any:
        """A coroutine of the field's value; None where there is no key."""
        key = next_(source, info, **kwargs)
        if key is None:
            return None
        return self._finish(getattr(info.context.loaders, self.loader).load(key), info)

    async def _finish(self, loading: Awaitable[Any], info: Info) -> Any:
        try:
            value = await loading
        except _FALLS_BACK_FROM as error:
            return self.fall_back(error, info.path.as_list, info.context)
        if value is None or (self.show is None and type(value) is not Stale):
            return value
        return self.finish(value, info.path.as_list, info.context)

    def fall_back(self, error: SourceError, path: Callable[[], list[str | int]], context: Context) -> Any:
        """The field's fallback, which is said to be one. Raises the error where none is declared."""
        if self.fallback is None:
            raise error
        context.degraded.append(Degraded(path(), error.source, None))
        return self.fallback(context)

    def finish(self, value: Any, path: Callable[[], list[str | int]], context: Context) -> Any:
        """The field's value from what was loaded. An old one is said to be so."""
        if type(value) is Stale:
            context.degraded.append(Degraded(path(), value.source, value.age_s))
            value = value.value
        return value if self.show is None else self.show(value, context)


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
