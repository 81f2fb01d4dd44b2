"""Completes lists. Each item has its own place; an item's error sets that place alone to null, if it is nullable."""

from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import suppress
from typing import Any

from graphql import GraphQLError, Undefined
from graphql.pyutils import is_iterable

from bff.engine.places import PENDING, AwaitableTypes, Complete, FieldWriter, Place, ResponseSlot
from bff.engine.plan import FieldPlan, NonNull, Shape
from bff.engine.rows import Row
from bff.engine.run import Run
from bff.runtime.error_copies import again


class Items:
    """Completes the lists of a field, or the lists in its lists. Made once an operation.

    Args:
        field: the field.
        of: the shape of the items.
        complete_item: completes an item.
        awaitable_types: tells awaitables from plain values.
        is_async_iterable: whether a value is a list whose items must be awaited.
    """

    def __init__(
        self,
        field: FieldPlan,
        of: Shape,
        complete_item: Complete,
        awaitable_types: AwaitableTypes,
        is_async_iterable: Callable[[Any], bool],
    ) -> None:
        self._field = field
        self._slot = ResponseSlot(field, is_nullable=not isinstance(of, NonNull), typename=None)
        self._complete_item = complete_item
        self._awaitable_types = awaitable_types
        self._is_async_iterable = is_async_iterable

    def complete(self, value: Any, place: Place, run: Run) -> Any:
        """Complete a list of any items (a `Complete`)."""
        if value is None or value is Undefined:
            return None
        if isinstance(value, Exception):
            raise again(value)
        if type(value) not in {list, tuple}:
            if self._is_async_iterable(value):
                run.wait_for(self._collect(value, place, run), lambda out: out, place)
                return PENDING
            if not is_iterable(value):
                where = f"'{self._field.parent}.{self._field.name}'"
                raise GraphQLError(f"Expected Iterable, but did not find one for field {where}.")
        out: list[Any] = []
        items = iter(value)
        try:
            for item in items:
                self._append(item, out, place, run)
        except Exception:
            # The list is null now, so nothing would await the rest of its items.
            with suppress(Exception):
                run.abandon(each for each in items if self._awaitable_types.is_awaitable(each))
            raise
        return out

    def complete_rows(self, row: Row) -> Complete:
        """What completes lists of plain rows: `row` on each item, or if it fails on one, item by item."""

        def complete(value: Any, place: Place, run: Run) -> Any:
            if type(value) in {list, tuple}:
                out = [row(item) for item in value]
                if None not in out:
                    return out
            return self.complete(value, place, run)

        return complete

    def complete_objects(self, row: Row, writers: Sequence[FieldWriter]) -> Complete:
        """What completes lists of objects of which `row` makes the plain fields, and `writers` the others."""
        append, slot = self._append, self._slot

        def complete(value: Any, place: Place, run: Run) -> Any:
            if type(value) not in {list, tuple}:
                return self.complete(value, place, run)
            out: list[Any] = []
            for item in value:
                shown = row(item)
                if shown is None:
                    append(item, out, place, run)
                    continue
                item_place = (place, len(out), out, slot)
                try:
                    for write in writers:
                        write(item, item_place, shown, run)
                except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its item's error
                    run.response.record_error(error, item_place)
                    shown = None
                out.append(shown)
            return out

        return complete

    def _append(self, item: Any, out: list[Any], place: Place, run: Run) -> None:
        item_place = (place, len(out), out, self._slot)
        complete = self._complete_item
        if self._awaitable_types.is_awaitable(item):
            out.append(None)
            run.wait_for(item, lambda result: complete(result, item_place, run), item_place)
            return
        try:
            completed = complete(item, item_place, run)
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its item's error
            run.response.record_error(error, item_place)
            completed = None
        out.append(None if completed is PENDING else completed)

    async def _collect(self, iterable: AsyncIterable[Any], place: Place, run: Run) -> list[Any]:
        iterator = iterable.__aiter__()
        out: list[Any] = []
        try:
            async for item in iterator:
                self._append(item, out, place, run)
        except Exception:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                with suppress(Exception):
                    await close()
            raise
        return out
