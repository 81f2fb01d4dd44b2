"""Hands the sources' events to their listeners, so that none of them is ever in the way of a call."""

import logging
from collections.abc import Sequence
from typing import Any

from bff.observe import logs
from bff.upstream.events import BreakerChanged, CallEnded, Event, InstanceChanged, Listener

_log = logging.getLogger("bff.sources")
_QUIET = frozenset({"ok", "cancelled"})


def to_all(listeners: Sequence[Listener]) -> Listener:
    """One listener that tells all; what one raises is logged and stops neither the others nor the call."""

    def tell(event: Event) -> None:
        for listener in listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - whatever it is, it is the listener's affair
                _log.exception("a listener failed")

    return tell


def log_event(event: Event) -> None:
    """A line for each change of a breaker or an instance, and for each call that went out and failed."""
    fields: dict[str, Any]
    match event:
        case BreakerChanged():
            fields = {
                "source": event.source,
                "route": event.route,
                "before": event.before.value,
                "after": event.after.value,
                "forced": event.forced or None,
            }
            _log.warning("breaker changed", extra={"fields": _given(fields)})
        case InstanceChanged():
            fields = {
                "source": event.source,
                "instance": event.instance,
                "state": event.state.value,
                "for_s": event.for_s,
            }
            _log.warning("instance changed", extra={"fields": _given(fields)})
        case CallEnded(outcome=outcome) if outcome not in _QUIET:
            fields = {
                "source": event.source,
                "route": event.route,
                "method": event.method,
                "instance": event.instance,
                "outcome": outcome,
                "status": event.status,
                "problem": event.problem or None,
                "ms": round(event.duration_s * 1000, 2),
                "request_id": event.request_id,
            }
            logs.write(_log, logging.INFO, "call failed", _given(fields))


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
