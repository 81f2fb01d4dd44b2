"""One closure a field: what puts its value, or nothing yet, into the object that is being made."""

from collections.abc import Callable
from typing import Any

from bff.engine.places import PENDING, AwaitableTypes, Complete, Execution, FieldWriter, Place, ResponseSlot
from bff.engine.plan import (
    Attribute,
    FieldPlan,
    LoadByKey,
    Method,
    NonNull,
    ObjectPlan,
    Resolver,
    Shape,
    Typename,
    objects_in,
)
from bff.graph.loaded import Loaded, is_fresh


class FieldWriters:
    """Makes the steps of a plan.

    Attributes:
        kinds: tells awaitables from what is plain.
        complete: makes what completes a value of a shape.
        is_row: whether an object of a shape is a plain row, the same wherever it is shown.
    """

    def __init__(
        self,
        awaitable_types: AwaitableTypes,
        complete: Callable[[FieldPlan, Shape], Complete],
        is_row: Callable[[Shape], bool],
    ) -> None:
        self._kinds = awaitable_types
        self._complete = complete
        self._is_row = is_row

    def step(self, field: FieldPlan) -> FieldWriter:
        """What puts a field's value, or nothing yet, into the object that is being made."""
        match field.source:
            case Typename(name):
                return _typename(field.key, name)
            case LoadByKey(key, loaded):
                return self._keyed(field, key, loaded)
            case Attribute(name):
                return self._attribute(field, name)
            case Method():
                return self._valued(field, self._call(field, field.source))
            case Resolver(resolve):
                return self._valued(field, _resolve(field, resolve))

    def _slot(self, field: FieldPlan) -> ResponseSlot:
        return ResponseSlot(field, nullable=not isinstance(field.shape, NonNull), typename=field.parent.name)

    def _attribute(self, field: FieldPlan, name: str) -> FieldWriter:
        def get(source: Any, *_: Any) -> Any:
            return getattr(source, name)

        return self._valued(field, get)

    def _valued(self, field: FieldPlan, value_of: Callable[[Any, Place, Any], Any]) -> FieldWriter:
        key, slot, complete = field.key, self._slot(field), self._complete(field, field.shape)
        plain, awaits = self._kinds.plain, self._kinds.is_awaitable

        def step(source: Any, above: Any, out: dict[str, Any], run: Execution) -> None:
            place = (above, key, out, slot)
            try:
                value = value_of(source, place, run)
                if type(value) not in plain and awaits(value):
                    run.later(value, lambda come: complete(come, place, run), place)
                    return
                completed = complete(value, place, run)
            except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its field's error
                run.failed(error, place)
                return
            if completed is not PENDING:
                out[key] = completed

        return step

    def _call(self, field: FieldPlan, method: Method) -> Callable[[Any, Place, Any], Any]:
        call, takes_self, info, renames = method.call, method.takes_self, method.info, method.renames
        takes_info = info is not None or not renames
        if method.is_pure:
            return lambda source, *_: call(source)

        def value_of(source: Any, place: Place, run: Execution) -> Any:
            given = run.strawberry_info(place, method.definition) if takes_info else None
            kwargs = run.renamed(field, method) if renames else method.convert(run.arguments(field), given)
            if info is not None:
                kwargs = {**kwargs, info: given}
            return call(source, **kwargs) if takes_self else call(**kwargs)

        access = method.access
        if access is None:
            return value_of

        def guarded(source: Any, place: Place, run: Execution) -> Any:
            # Before the key is known nothing can be asked for by it.
            access.check(run.context, run.arguments(field))
            return value_of(source, place, run)

        return guarded

    def _keyed(self, field: FieldPlan, method: Method, loaded: Loaded) -> FieldWriter:  # noqa: C901 - three closures' branches
        key, slot, complete = field.key, self._slot(field), self._complete(field, field.shape)
        key_of, name, finish = self._call(field, method), loaded.read, loaded.finish
        is_bare = type(loaded).finish is Loaded.finish and loaded.show is None
        awaits, plain = self._kinds.is_awaitable, self._kinds.plain
        hints = self._hints(field, loaded)
        is_pure = method.is_pure and not hints

        def step(source: Any, above: Any, out: dict[str, Any], run: Any) -> None:
            place = (above, key, out, slot)
            try:
                wanted = key_of(source, place, run)
                if is_pure:
                    # Somebody has asked for it already, more often than not: then there is nothing more to do.
                    known = run.pending.get(name)
                    waiting = known.asked.get(wanted) if known is not None else None
                    if waiting:
                        waiting.append(place)
                        return
                if type(wanted) not in plain and awaits(wanted):
                    run.later(wanted, lambda come: ask(come, place, run), place)
                    return
                completed = ask(wanted, place, run)
            except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its field's error
                run.failed(error, place)
                return
            if completed is not PENDING:
                out[key] = completed

        def ask(wanted: Any, place: Place, run: Any) -> Any:
            if wanted is None:
                return complete(None, place, run)
            pending = run.pending.get(name) or run.pending_for(name)
            if wanted in pending.loaded:
                return complete(finish(pending.loaded[wanted], run.path_of(place), run.context), place, run)
            waiting = pending.in_flight.get(wanted) or pending.asked.get(wanted)
            if waiting is not None:
                waiting.append(place)
            elif wanted in pending.in_flight:  # a hint that nobody waited for so far
                pending.in_flight[wanted].append(place)
            else:
                pending.asked[wanted] = [place]
                run.is_asking = True
            for hint in hints:
                hint(wanted, run)
            return PENDING

        def arrive(value: Any, place: Place, run: Any) -> None:
            try:
                if not is_bare or not is_fresh(value):
                    value = finish(value, run.path_of(place), run.context)
                completed = complete(value, place, run)
            except Exception as error:  # noqa: BLE001 - the same
                run.failed_late(error, place)
                return
            if completed is not PENDING:
                place[2][key] = completed

        slot.arrive = arrive
        slot.shares = is_bare and self._is_row(field.shape)
        return step

    def _hints(self, field: FieldPlan, loaded: Any) -> list[Callable[[Any, Any], None]]:
        """What can be asked for as soon as the field's own key is known: it will be wanted whenever the field has a value.

        Only of an object of one known type: of an interface it isn't known beforehand which fields are shown.
        """
        objects = objects_in(field.shape)
        if len(objects) != 1 or not isinstance(_inner(field.shape), ObjectPlan):
            return []
        return [
            self._hint(child, child.source)
            for child in objects[0].fields
            if isinstance(child.source, LoadByKey)
            and child.source.loaded.prefetch is not None
            and loaded.read.is_by_id
            and child.source.key.info is None
        ]

    def _hint(self, field: FieldPlan, source: LoadByKey) -> Callable[[Any, Any], None]:
        key_of, name, prefetch = self._call(field, source.key), source.loaded.read, source.loaded.prefetch
        if prefetch is None:
            raise AssertionError("only what can be known ahead is hinted at")
        nowhere: Any = None

        def hint(parent_key: Any, run: Any) -> None:
            try:
                key = key_of(prefetch.stand_in(parent_key), nowhere, run)
            except Exception:  # noqa: BLE001 - it will be raised again, in its place, if that comes to be
                return
            if key is not None:
                run.hint(name, key)

        return hint


def _inner(shape: Shape) -> Shape:
    return shape.of if isinstance(shape, NonNull) else shape


def _typename(key: str, name: str) -> FieldWriter:
    def step(_: Any, __: Any, out: dict[str, Any], ___: Any) -> None:
        out[key] = name

    return step


def _resolve(field: FieldPlan, resolve: Callable[..., Any]) -> Callable[[Any, Place, Any], Any]:
    def value_of(source: Any, place: Place, run: Execution) -> Any:
        return resolve(source, run.info(place), **run.arguments(field))

    return value_of
