"""Passes the sources' events to listeners, which can neither fail a call nor each other."""

from collections.abc import Sequence
from typing import Any

from bff.runtime.log import Log
from bff.upstream.events import BreakerChanged, CallEnded, Event, InstanceChanged, Listener

_log = Log("bff.sources")
_NOT_LOGGED = frozenset({"ok", "cancelled"})
"""Outcomes of calls that are no failures."""


def to_all(listeners: Sequence[Listener]) -> Listener:
    """One listener that calls all of these. If one raises, the error is logged and the others are still called."""

    def call_all(event: Event) -> None:
        for listener in listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - a listener's fault must not fail the call
                _log.exception("a listener failed")

    return call_all


def log_event(event: Event) -> None:
    """Log each change of a breaker or an instance, and each call that was sent and failed."""
    match event:
        case BreakerChanged():
            fields = _given(
                source=event.source,
                route=event.route,
                before=event.before.value,
                after=event.after.value,
                forced=event.forced or None,
            )
            _log.warning("breaker changed", **fields)
        case InstanceChanged():
            fields = _given(source=event.source, instance=event.instance, state=event.state.value, for_s=event.for_s)
            _log.warning("instance changed", **fields)
        case CallEnded(outcome=outcome) if outcome not in _NOT_LOGGED:
            fields = _given(
                source=event.source,
                route=event.route,
                method=event.method,
                instance=event.instance,
                outcome=outcome,
                reason=event.reason or None,
                detail=event.detail or None,
                status=event.status,
                problem=event.problem or None,
                ms=round(event.duration_s * 1000, 2),
                request_id=event.request_id,
            )
            _log.info("call failed", **fields)


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
