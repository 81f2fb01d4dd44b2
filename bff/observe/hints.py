"""Hints in the log for operators: what is probably wrong with a service or its URL. Each once, or once a minute."""

import time

from bff.runtime.clock import Clock
from bff.runtime.log import Log
from bff.upstream.events import CallEnded, Event, ObjectUnreadable

_ALL_MISSING = 20
"""Replies of a source that are all 404, after which its URL is doubted."""
_UNREADABLE_EVERY_S = 60.0

_log = Log("bff.sources")


class Hints:
    """A listener."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._missing: dict[str, int | None] = {}
        self._unreadable: dict[str, tuple[float, int]] = {}

    def __call__(self, event: Event) -> None:
        """Look at an event."""
        kind = type(event)
        if kind is CallEnded:
            if event.status is not None and self._missing.get(event.source, 0) is not None:  # type: ignore[union-attr]
                self._note_status(event)  # type: ignore[arg-type]
        elif kind is ObjectUnreadable:
            self._note_unreadable(event)  # type: ignore[arg-type]

    def _note_status(self, event: CallEnded) -> None:
        if event.status != 404:
            self._missing[event.source] = None  # the URL is right, so nothing is counted any more
            return
        count = (self._missing.get(event.source) or 0) + 1
        self._missing[event.source] = None if count >= _ALL_MISSING else count
        if count >= _ALL_MISSING:
            _log.warning("every reply so far was 404: is the path of the service's URL right?", source=event.source)

    def _note_unreadable(self, event: ObjectUnreadable) -> None:
        now = self._clock()
        again_at, unlogged = self._unreadable.get(event.source, (now, 0))
        if now < again_at:
            self._unreadable[event.source] = (again_at, unlogged + 1)
            return
        self._unreadable[event.source] = (now + _UNREADABLE_EVERY_S, 0)
        _log.warning("objects can't be read", source=event.source, detail=event.detail, more=unlogged)
