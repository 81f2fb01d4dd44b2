"""The jobs of a run: batches of its loaders, and awaitables of resolvers. Each writes its results to their places."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any

from bff.engine.places import PENDING, PendingLoads, Place, WriteLater
from bff.graph.loaded import is_fresh

if TYPE_CHECKING:
    from bff.engine.run import Run

Job = tuple[Callable[[], Coroutine[Any, Any, None]], Place | None]
"""A coroutine function, and the place that its result is for; None if it is for several places."""


async def load(run: "Run", pending: PendingLoads, keys: list[Hashable]) -> None:
    """Load a batch, and write each value to the places that wait for its key."""
    try:
        found = await pending.loader.load_batch(keys)
    except asyncio.CancelledError as error:
        if _is_own_task_cancelled():
            raise
        found = dict.fromkeys(keys, _AwaitedCancelled(error))
    response, in_flight = run.response, pending.in_flight
    for key in keys:
        value = found[key]
        slot, shared = None, None
        for place in in_flight.pop(key):
            if response.nulled and response.is_removed(place):
                continue
            if shared is not None and place[3] is slot:
                place[2][place[1]] = shared
                continue
            slot = place[3]
            slot.receive(value, place, run)  # type: ignore[misc] # a slot that waits for a key has it
            shared = place[2][place[1]] if slot.is_shared and is_fresh(value) else None


async def resume(run: "Run", awaitable: Awaitable[Any], then: WriteLater, place: Place) -> None:
    """Await the awaitable, complete its result, and write it to the place."""
    response = run.response
    try:
        value = await awaitable
        if response.nulled and response.is_removed(place):
            return
        completed = then(value)
    except asyncio.CancelledError as error:
        if _is_own_task_cancelled():
            raise
        response.record_late_error(_AwaitedCancelled(error), place)
        return
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is its field's error
        if not response.nulled or not response.is_removed(place):
            response.record_late_error(error, place)
        return
    if completed is not PENDING:
        place[2][place[1]] = completed


class _AwaitedCancelled(Exception):
    """The field's error if its awaitable was cancelled, but the run was not."""


def _is_own_task_cancelled() -> bool:
    """Whether a `CancelledError` is for the current task itself, and not for what it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
