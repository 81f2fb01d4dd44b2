"""Listeners are never in the way."""

import logging

import pytest

from bff.observe.listeners import log_breakers, to_all
from datasources.events import BreakerChanged, BreakerState, CallEnded, CallRefused, Event

ENDED = CallEnded("users", "/users/{id}", "GET", 1, "ok", 0.1, "request-1")
REFUSED = CallRefused("users", "/users/{id}", "breaker_open", "request-1")
CHANGED = BreakerChanged("users", BreakerState.CLOSED, BreakerState.OPEN)


def test_every_listener_hears_every_event() -> None:
    """In order."""
    heard: list[tuple[int, Event]] = []
    tell = to_all([lambda event: heard.append((1, event)), lambda event: heard.append((2, event))])
    for event in (ENDED, CHANGED):
        tell(event)
    assert heard == [(1, ENDED), (2, ENDED), (1, CHANGED), (2, CHANGED)]


def test_a_listener_that_raises_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the others nor the call; that it failed is logged."""

    def broken(event: Event) -> None:
        raise RuntimeError("broken")

    heard: list[Event] = []
    with caplog.at_level(logging.ERROR, "bff.sources"):
        to_all([broken, heard.append, broken])(ENDED)
    assert heard == [ENDED]
    assert [record.getMessage() for record in caplog.records] == ["a listener failed"] * 2


def test_nobody_listening_is_fine() -> None:
    """An event without listeners is gone."""
    to_all([])(ENDED)


def test_a_breaker_s_change_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """From which state to which, of which source; calls are not."""
    with caplog.at_level(logging.DEBUG, "bff.sources"):
        for event in (ENDED, REFUSED, CHANGED):
            log_breakers(event)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.fields == {"source": "users", "before": "closed", "after": "open"}  # type: ignore[attr-defined]
