"""Makes a plan's field writers: one function a field, which resolves it and writes its value into the object being made.

If the value isn't available yet, the writer leaves null at its place, and the value is written there later.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bff.engine.places import PENDING, AwaitableTypes, Complete, FieldWriter, Place, ResponseSlot, path_of
from bff.engine.plan import Attribute, FieldPlan, LoadByKey, Method, NonNull, Resolver, Shape, Typename, objects_in
from bff.engine.run import Run
from bff.graph.loaded import Loaded, Prefetch, is_fresh

_Resolve = Callable[[Any, Place, Run], Any]
"""From the source object and the field's place to the value, not completed; it may be awaitable."""

_StartLoad = Callable[[Any, Run], None]
"""Starts the load of a field for the key of its parent."""


class FieldWriters:
    """Makes the writers of a plan.

    Args:
        awaitable_types: tells awaitables from plain values.
        complete: makes the function that completes a field's values of a shape.
        is_row: whether an object of a shape is a plain row, equal wherever it is shown.
    """

    def __init__(
        self,
        awaitable_types: AwaitableTypes,
        complete: Callable[[FieldPlan, Shape], Complete],
        is_row: Callable[[Shape], bool],
    ) -> None:
        self._awaitable_types = awaitable_types
        self._complete = complete
        self._is_row = is_row

    def writer(self, field: FieldPlan) -> FieldWriter:
        """The function that writes the field."""
        match field.source:
            case Typename(name):
                return _typename_writer(field.key, name)
            case LoadByKey(key, loaded):
                return self._loaded_writer(field, key, loaded)
            case Attribute(name):
                return self._writer(field, _attribute(name))
            case Method():
                return self._writer(field, _method(field, field.source))
            case Resolver(resolve):
                return self._writer(field, _resolver(field, resolve))

    def _writer(self, field: FieldPlan, resolve: _Resolve) -> FieldWriter:
        key, slot, complete = field.key, _slot(field), self._complete(field, field.shape)
        plain, is_awaitable = self._awaitable_types.plain, self._awaitable_types.is_awaitable

        def write(source: Any, parent: Place | None, out: dict[str, Any], run: Run) -> None:
            place = (parent, key, out, slot)
            try:
                value = resolve(source, place, run)
                if type(value) not in plain and is_awaitable(value):
                    run.wait_for(value, lambda result: complete(result, place, run), place)
                    return
                completed = complete(value, place, run)
            except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its field's error
                run.response.record_error(error, place)
                return
            if completed is not PENDING:
                out[key] = completed

        return write

    def _loaded_writer(  # noqa: C901 - the branches of three functions
        self, field: FieldPlan, method: Method, loaded: Loaded
    ) -> FieldWriter:
        response_key, slot, complete = field.key, _slot(field), self._complete(field, field.shape)
        key_of, loader, finish = _method(field, method), loaded.read, loaded.finish
        plain, is_awaitable = self._awaitable_types.plain, self._awaitable_types.is_awaitable
        start_loads = _prefetches(field)
        is_key_enough = method.is_pure and not start_loads
        pure_key_of = method.call if method.is_pure else None
        shows_as_loaded = type(loaded).finish is Loaded.finish and loaded.show is None

        def write(source: Any, parent: Place | None, out: dict[str, Any], run: Run) -> None:
            place = (parent, response_key, out, slot)
            try:
                key = key_of(source, place, run) if pure_key_of is None else pure_key_of(source)
                if is_key_enough:
                    # The usual case in a list: another object has asked for the same key already.
                    pending = run.pending.get(loader)
                    waiting = pending.asked.get(key) if pending is not None else None
                    if waiting:
                        waiting.append(place)
                        return
                if type(key) not in plain and is_awaitable(key):
                    run.wait_for(key, lambda result: ask(result, place, run), place)
                    return
                completed = ask(key, place, run)
            except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its field's error
                run.response.record_error(error, place)
                return
            if completed is not PENDING:
                out[response_key] = completed

        def ask(key: Any, place: Place, run: Run) -> Any:
            """Complete the value if it is loaded; else let the place wait for it."""
            if key is None:
                return complete(None, place, run)
            pending = run.pending.get(loader) or run.pending_for(loader)
            if key in pending.loaded:
                return complete(finish(pending.loaded[key], partial(path_of, place), run.context), place, run)
            waiting = pending.in_flight.get(key) or pending.asked.get(key)
            if waiting is not None:
                waiting.append(place)
            elif key in pending.in_flight:  # prefetched: this is the first place that waits for it
                pending.in_flight[key].append(place)
            else:
                pending.asked[key] = [place]
                run.has_asked = True
            for start_load in start_loads:
                start_load(key, run)
            return PENDING

        def receive(value: Any, place: Place, run: Run) -> None:
            try:
                if not shows_as_loaded or not is_fresh(value):
                    value = finish(value, partial(path_of, place), run.context)
                completed = complete(value, place, run)
            except Exception as error:  # noqa: BLE001 - whatever a value's completion raises is its field's error
                run.response.record_late_error(error, place)
                return
            if completed is not PENDING:
                place[2][response_key] = completed

        slot.receive = receive
        slot.is_shared = shows_as_loaded and self._is_row(field.shape)
        return write


def _slot(field: FieldPlan) -> ResponseSlot:
    return ResponseSlot(field, is_nullable=not isinstance(field.shape, NonNull), typename=field.parent.name)


def _typename_writer(key: str, name: str) -> FieldWriter:
    def write(_: Any, __: Place | None, out: dict[str, Any], ___: Run) -> None:
        out[key] = name

    return write


def _attribute(name: str) -> _Resolve:
    def resolve(source: Any, _: Place, __: Run) -> Any:
        return getattr(source, name)

    return resolve


def _resolver(field: FieldPlan, call: Callable[..., Any]) -> _Resolve:
    def resolve(source: Any, place: Place, run: Run) -> Any:
        return call(source, run.inputs.info(place), **run.inputs.arguments(field))

    return resolve


def _method(field: FieldPlan, method: Method) -> _Resolve:
    call, takes_self, info_name = method.call, method.takes_self, method.info
    is_renamed_only, definition, convert, access = method.is_renamed_only, method.definition, method.convert, method.access
    if method.is_pure:
        return lambda source, *_: call(source)
    makes_info = info_name is not None or not is_renamed_only

    def resolve(source: Any, place: Place, run: Run) -> Any:
        inputs = run.inputs
        info = inputs.strawberry_info(place, definition) if makes_info else None
        arguments = inputs.method_arguments(field, method) if is_renamed_only else convert(inputs.arguments(field), info)
        if info_name is not None:
            arguments = {**arguments, info_name: info}
        return call(source, **arguments) if takes_self else call(**arguments)

    if access is None:
        return resolve

    def resolve_if_allowed(source: Any, place: Place, run: Run) -> Any:
        # Checked before the method gives a key: nothing is loaded for a field that the caller may not have.
        access.check(run.context, run.inputs.arguments(field))
        return resolve(source, place, run)

    return resolve_if_allowed


def _prefetches(field: FieldPlan) -> Sequence[_StartLoad]:
    """What starts the loads that the plan starts together with this field's."""
    if not field.prefetches:
        return ()
    (inner,) = objects_in(field.shape)
    return [
        _prefetch(child, child.source, child.source.loaded.prefetch)
        for child in inner.fields
        if child.key in field.prefetches and isinstance(child.source, LoadByKey) and child.source.loaded.prefetch
    ]


def _prefetch(field: FieldPlan, source: LoadByKey, prefetch: Prefetch) -> _StartLoad:
    key_of, loader = _method(field, source.key), source.loaded.read
    start_loads = _prefetches(field)
    no_place: Any = None

    def start_load(parent_key: Any, run: Run) -> None:
        try:
            key = key_of(prefetch.stand_in(parent_key), no_place, run)
        except Exception:  # noqa: BLE001 - it is raised again when the field is resolved, if it ever is
            return
        if key is None:
            return
        run.prefetch(loader, key)
        for each in start_loads:
            each(key, run)

    return start_load
