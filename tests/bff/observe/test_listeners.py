"""Listeners of events can't fail a call or each other."""

import logging

import pytest
from msgspec.structs import replace

from bff.observe.listeners import log_event, to_all
from bff.upstream.events import (
    BreakerChanged,
    BreakerState,
    CacheResult,
    CallCached,
    CallEnded,
    CallRefused,
    CallRetried,
    CallShared,
    Event,
    InstanceChanged,
    InstanceState,
)

ENDED = CallEnded("users", "/users/{id}", "GET", 1, "ok", 0.1, "request-1")
REFUSED = CallRefused("users", "/users/{id}", "breaker_open", "request-1")
CHANGED = BreakerChanged("users", BreakerState.CLOSED, BreakerState.OPEN)


def test_every_listener_gets_every_event() -> None:
    """In order."""
    heard: list[tuple[int, Event]] = []
    tell = to_all([lambda event: heard.append((1, event)), lambda event: heard.append((2, event))])
    for event in (ENDED, CHANGED):
        tell(event)
    assert heard == [(1, ENDED), (2, ENDED), (1, CHANGED), (2, CHANGED)]


def test_a_failing_listener_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The other listeners are called, and the call goes on. The failure is logged."""

    def broken(event: Event) -> None:
        raise RuntimeError("broken")

    heard: list[Event] = []
    with caplog.at_level(logging.ERROR, "bff.sources"):
        to_all([broken, heard.append, broken])(ENDED)
    assert heard == [ENDED]
    assert [record.getMessage() for record in caplog.records] == ["a listener failed"] * 2


def test_without_listeners_an_event_is_dropped() -> None:
    """An event without listeners is gone."""
    to_all([])(ENDED)


@pytest.mark.parametrize(
    ("event", "message", "fields"),
    [
        (CHANGED, "breaker changed", {"source": "users", "before": "closed", "after": "open"}),
        (
            BreakerChanged("users", BreakerState.OPEN, BreakerState.CLOSED, "GET /users", forced=True),
            "breaker changed",
            {"source": "users", "route": "GET /users", "before": "open", "after": "closed", "forced": True},
        ),
        (
            InstanceChanged("users", 2, InstanceState.EJECTED, 20.0),
            "instance changed",
            {"source": "users", "instance": 2, "state": "ejected", "for_s": 20.0},
        ),
        (
            InstanceChanged("users", 2, InstanceState.UNHEALTHY),
            "instance changed",
            {"source": "users", "instance": 2, "state": "unhealthy"},
        ),
    ],
)
def test_a_change_of_state_is_logged(
    caplog: pytest.LogCaptureFixture, event: Event, message: str, fields: dict[str, object]
) -> None:
    """As a warning, with the states before and after it."""
    with caplog.at_level(logging.DEBUG, "bff.sources"):
        log_event(event)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, message)
    assert record.fields == fields  # type: ignore[attr-defined]


def test_a_failed_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With the service's own code of the problem. Successful, shared and refused calls are not logged."""
    failed = CallEnded("users", "/users/{id}", "GET", 1, "busy", 0.1234, "request-1", 503, "Too many people")
    others: list[Event] = [
        ENDED,
        REFUSED,
        replace(ENDED, outcome="cancelled"),
        CallShared("users", "/users"),
        CallCached("users", "/users", CacheResult.HIT),
        CallRetried("users", "/users", "busy", 0.1, "request-1"),
    ]
    with caplog.at_level(logging.DEBUG, "bff.sources"):
        for event in [*others, failed]:
            log_event(event)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.INFO, "call failed")
    assert record.fields == {  # type: ignore[attr-defined]
        "source": "users",
        "route": "/users/{id}",
        "method": "GET",
        "instance": 1,
        "outcome": "busy",
        "status": 503,
        "problem": "Too many people",
        "ms": 123.4,
        "request_id": "request-1",
    }
