"""Hints for operators: once, or once a minute."""

import logging
from typing import Any

import pytest

from bff.observe.hints import Hints
from bff.upstream.events import CallEnded, ObjectUnreadable
from tests.support.fakes import Clock


def ended(status: int | None, source: str = "orders") -> CallEnded:
    """The end of a call."""
    return CallEnded(source, "/orders/{id}", "GET", 1, "ok", 0.1, "r", status, is_read=True)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of the warnings."""
    return [record.__dict__["fields"] for record in caplog.records if record.levelno == logging.WARNING]


def test_a_source_that_answers_404_alone_is_doubted_once(caplog: pytest.LogCaptureFixture) -> None:
    """After twenty replies. One other reply shows that the URL is right; no reply shows nothing."""
    hints = Hints()
    for _ in range(19):
        hints(ended(404))
        hints(ended(None))
    assert lines(caplog) == []
    for _ in range(40):
        hints(ended(404))
    assert lines(caplog) == [{"source": "orders"}]
    hints(ended(404, "users"))
    hints(ended(200, "users"))
    for _ in range(40):
        hints(ended(404, "users"))
    assert len(lines(caplog)) == 1


def test_unreadable_objects_are_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """With the number of those in between."""
    clock = Clock()
    hints = Hints(clock)
    for _ in range(5):
        hints(ObjectUnreadable("orders", "$.price: Expected float, got str"))
    clock.now += 60
    hints(ObjectUnreadable("orders", "$.price: Expected float, got str"))
    assert [(each["source"], each["more"]) for each in lines(caplog)] == [("orders", 0), ("orders", 4)]
