"""Lists: each item is completed at its own item_place, and lost alone where null may stand in its item_place."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from graphql import GraphQLError, Undefined
from graphql.pyutils import is_iterable

from bff.engine.places import PENDING, AwaitableTypes, Complete, FieldWriter, Place, ResponseSlot
from bff.engine.plan import FieldPlan, NonNull, Shape
from bff.engine.rows import Row
from bff.runtime.error_copies import again


class Items:
    """What completes a field's lists, or the lists in its lists. Made once an operation."""

    def __init__(
        self,
        field: FieldPlan,
        of: Shape,
        complete_item: Complete,
        awaitable_types: AwaitableTypes,
        iterates: Callable[[Any], bool],
    ) -> None:
        self._field = field
        self._slot = ResponseSlot(field, nullable=not isinstance(of, NonNull), typename=None)
        self._complete_item = complete_item
        self._kinds = awaitable_types
        self._iterates = iterates

    def complete(self, value: Any, place: Place, run: Any) -> Any:
        """Any value that is to be a list."""
        if value is None or value is Undefined:
            return None
        if isinstance(value, Exception):
            raise again(value)
        if type(value) not in {list, tuple}:
            if self._iterates(value):
                run.later(self._each(value, place, run), lambda out: out, place)
                return PENDING
            if not is_iterable(value):
                where = f"'{self._field.parent}.{self._field.name}'"
                raise GraphQLError(f"Expected Iterable, but did not find one for field {where}.")
        out: list[Any] = []
        items = iter(value)
        try:
            for item in items:
                self._put(item, out, place, run)
        except Exception:
            # What is left of it would never be awaited.
            with suppress(Exception):
                run.abandon(each for each in items if self._kinds.is_awaitable(each))
            raise
        return out

    def rows(self, row: Row) -> Complete:
        """What completes lists of plain rows: at once, or on any surprise item by item."""

        def complete(value: Any, place: Place, run: Any) -> Any:
            if type(value) in {list, tuple}:
                out = [row(item) for item in value]
                if None not in out:
                    return out
            return self.complete(value, place, run)

        return complete

    def begun(self, row: Row, steps: Sequence[FieldWriter]) -> Complete:
        """What completes lists of objects that begin as rows, and have fields for which `steps` are needed."""
        put, slot = self._put, self._slot

        def complete(value: Any, place: Place, run: Any) -> Any:
            if type(value) not in {list, tuple}:
                return self.complete(value, place, run)
            out: list[Any] = []
            for item in value:
                shown = row(item)
                if shown is None:
                    put(item, out, place, run)
                    continue
                item_place = (place, len(out), out, slot)
                try:
                    for step in steps:
                        step(item, item_place, shown, run)
                except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its item's error
                    run.failed(error, item_place)
                    shown = None
                out.append(shown)
            return out

        return complete

    def _put(self, item: Any, out: list[Any], place: Place, run: Any) -> None:
        item_place = (place, len(out), out, self._slot)
        complete = self._complete_item
        if self._kinds.is_awaitable(item):
            out.append(None)
            run.later(item, lambda come: complete(come, item_place, run), item_place)
            return
        try:
            completed = complete(item, item_place, run)
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its item's error
            run.failed(error, item_place)
            completed = None
        out.append(None if completed is PENDING else completed)

    async def _each(self, iterable: Any, place: Place, run: Any) -> list[Any]:
        iterator = iterable.__aiter__()
        out: list[Any] = []
        try:
            async for item in iterator:
                self._put(item, out, place, run)
        except Exception:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                with suppress(Exception):
                    await close()
            raise
        return out
