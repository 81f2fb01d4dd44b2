"""Fields that are loaded by key, and what they show when their source fails.

The field's resolver returns a key, and the extension loads it. So resolvers stay one line, and the executor can collect the
keys of a level and load them as one batch.

A field shows the first of these that it has: a fresh value; a stale value, reported in `extensions.degraded`; its fallback,
reported there too; null, with an error.
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
"""Failures of a service. A refusal, as `Forbidden`, is not one of them: it must be shown as an error."""


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Marks a field whose key is computed from nothing but its parent's id.

    Where the parent is loaded by its id, the field's load can start together with its parent's.
    """

    def stand_in(self, id: Any) -> Any:
        """An object to call the resolver on before the parent is loaded."""
        return SimpleNamespace(id=id)


class Loaded(FieldExtension):
    """Makes the field's value from its key: the resolver returns the key, or None for null.

    Attributes:
        read: the read that loads it: a member of a source's class, as `Orders.by_id`.
        show: makes the field's value from what was loaded and the context. A pure function, not called for None.
        fallback: makes the value to show if the source failed and no stale value is cached; without it, that is an error.
        prefetch: given if the key can be computed before the parent is loaded.
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

    # Positional only: a field may have an argument with one of these names.
    def resolve(  # type: ignore[override]
        self, next_: Callable[..., Any], source: Any, info: Info, /, **kwargs: Any
    ) -> Any:
        """A coroutine of the field's value; None if there is no key."""
        key = next_(source, info, **kwargs)
        if key is None:
            return None
        return self._wait(info.context.loaders[self.read].load(key), info)

    async def _wait(self, loading: Awaitable[Any], info: Info) -> Any:
        try:
            value = await loading
        except Exception as error:  # noqa: BLE001 - `finish` raises it again, unless the field has a fallback
            value = error
        return self.finish(value, info.path.as_list, info.context)

    def finish(self, value: Any, path: Callable[[], list[str | int]], context: Context) -> Any:
        """The field's value, made from the loaded value or the error. Raises the error if the field has no fallback for it.

        Notes stale values and fallbacks in `context.degraded`.
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
    """Whether what was loaded is neither stale nor an error."""
    return type(value) is not Stale and not isinstance(value, Exception)


class LoadedList(Loaded):
    """As `Loaded`, for a list. A failed item is left out and reported in `errors`; the others are shown."""

    def finish(self, value: Any, path: Callable[[], list[str | int]], context: Context) -> Any:
        """The list without the failed items. See `Loaded.finish`."""
        shown = super().finish(value, path, context)
        if shown is None:
            return None
        failed = [item for item in shown if isinstance(item, Exception)]
        if not failed:
            return shown
        context.partial_errors.extend(PartialError(error, path()) for error in failed)
        return [item for item in shown if not isinstance(item, Exception)]
