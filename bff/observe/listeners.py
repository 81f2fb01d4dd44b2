"""Hands the sources' events to their listeners, so that none of them is ever in the way of a call."""

import logging
from collections.abc import Sequence

from datasources.events import BreakerChanged, Event, Listener

_log = logging.getLogger("bff.sources")


def to_all(listeners: Sequence[Listener]) -> Listener:
    """One listener that tells all; what one raises is logged and stops neither the others nor the call."""

    def tell(event: Event) -> None:
        for listener in listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - whatever it is, it is the listener's affair
                _log.exception("a listener failed")

    return tell


def log_breakers(event: Event) -> None:
    """A line for each change of a breaker's state."""
    if isinstance(event, BreakerChanged):
        fields = {"source": event.source, "before": event.before.value, "after": event.after.value}
        _log.warning("breaker changed", extra={"fields": fields})
