"""The field that is loaded by key, and what it shows when its source fails.

A relation's resolver returns a key; the field's extension loads it. So resolvers stay one line, and whoever executes the
operation may collect a level's keys and hand them over as one batch.

What a field shows, the better first: what is fresh; what is stale, and said to be so in `extensions.degraded`; its
declared fallback, said there too; null, with an error.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from strawberry.extensions import FieldExtension

from bff.graph.context import Context, Degraded, Info, PartialError
from bff.runtime.error_copies import again
from bff.upstream.errors import BadAnswer, TimedOut, Unavailable
from bff.upstream.reads import Read
from bff.upstream.traffic.call import Stale

_FALLS_BACK_FROM = (Unavailable, TimedOut, BadAnswer)
"""A service's faults. That it does not allow something is no fault, and nothing to gloss over."""


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Says that a field's key needs only the id of its parent.

    So wherever the parent is loaded by its id, the field's load can start together with its parent's.
    """

    def stand_in(self, id: Any) -> Any:
        """An object to call the resolver on before the parent is there."""
        return SimpleNamespace(id=id)


class Loaded(FieldExtension):
    """The field's resolver returns a key, or None; its value is what is loaded by that key.

    Attributes:
        read: how it is loaded: a member of a source's class, as `Orders.by_id`.
        show: makes the field's value of what was loaded; a pure function of it and the context. What is None stays so.
        fallback: makes the value to show where the source failed and nothing old is at hand; without it, that is an error.
        prefetch: given if the key can be known before the parent is there.
    """

    def __init__(
        self,
        read: Read,
        show: Callable[[Any, Context], Any] | None = None,
        fallback: Callable[[Context], Any] | None = None,
        prefetch: Prefetch | None = None,
    ) -> None:
        self.read = read
        self.show = show
        self.fallback = fallback
        self.prefetch = prefetch

    # Positional alone: a field may have an argument named as one of these.
    def resolve(  # type: ignore[override]
        self, next_: Callable[..., Any], source: Any, info: Info, /, **kwargs: Any
    ) -> Any:
        """A coroutine of the field's value; None where there is no key."""
        key = next_(source, info, **kwargs)
        if key is None:
            return None
        return self._wait(info.context.loaders[self.read].load(key), info)

    async def _wait(self, loading: Awaitable[Any], info: Info) -> Any:
        try:
            value = await loading
        except Exception as error:  # noqa: BLE001 - `finish` raises it again, where nothing can be shown instead
            value = error
        return self.finish(value, info.path.as_list, info.context)

    def finish(self, value: Any, path: Callable[[], list[str | int]], context: Context) -> Any:
        """The field's value from what was loaded, or from the error that it failed with. Raises it where nothing is to show.

        What is shown instead of something better is said to be so.
        """
        if isinstance(value, Exception):
            if self.fallback is None or not isinstance(value, _FALLS_BACK_FROM):
                raise again(value)
            context.degraded.append(Degraded(path(), value.service, None))
            return self.fallback(context)
        if type(value) is Stale:
            context.degraded.append(Degraded(path(), value.source, value.age_s))
            value = value.value
        return value if value is None or self.show is None else self.show(value, context)


def is_fresh(value: Any) -> bool:
    """Whether what was loaded is neither old nor an error."""
    return type(value) is not Stale and not isinstance(value, Exception)


class LoadedList(Loaded):
    """As `Loaded`, for a list. An item that failed is left out and told in `errors`, so that it costs nothing but itself."""

    def finish(self, value: Any, path: Callable[[], list[str | int]], context: Context) -> Any:
        """As `Loaded` has it, without the items that failed."""
        shown = super().finish(value, path, context)
        if shown is None:
            return None
        failed = [item for item in shown if isinstance(item, Exception)]
        if not failed:
            return shown
        context.partial_errors.extend(PartialError(error, path()) for error in failed)
        return [item for item in shown if not isinstance(item, Exception)]
