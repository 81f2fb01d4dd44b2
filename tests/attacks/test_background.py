"""Background tasks that fail are reported and restarted, and a blocked event loop shows in the metrics."""

import threading
import time
from typing import Any

import pytest

from bff.runtime import background
from bff.upstream.traffic.health import HealthChecks
from tests.conftest import StartGateway
from tests.support.background import Background
from tests.support.gateways import RunningGateway


def test_a_background_task_that_fails_is_restarted(start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failing health checks are counted, logged and restarted."""
    again = threading.Event()
    check = HealthChecks.check
    rounds: list[None] = []

    async def dying(checks: "HealthChecks[Any]") -> None:
        rounds.append(None)
        if len(rounds) == 1:
            raise OverflowError
        await check(checks)
        again.set()

    monkeypatch.setattr(background, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(HealthChecks, "check", dying)
    gateway = start_gateway(BFF_SOURCES__USERS__HEALTH__INTERVAL_S="3600")
    assert again.wait(30)
    assert 'bff_background_deaths_total{task="health users"} 1.0' in metrics(gateway)


def test_a_failing_timer_is_counted(gateway: RunningGateway, own_background: Background) -> None:
    """No task awaits a timer, so its error is counted as `unnamed`."""

    async def fail() -> None:
        own_background.loop.call_soon(int, "x")

    own_background.run(fail())
    assert 'bff_background_deaths_total{task="unnamed"} 1.0' in metrics(gateway)


def test_a_blocked_event_loop_shows_in_the_metrics(gateway: RunningGateway, own_background: Background) -> None:
    """With the time for which it was blocked, except the time until the next check."""

    async def hold() -> None:
        time.sleep(0.4)  # noqa: ASYNC251 - that is the fault

    own_background.run(hold())
    text = metrics(gateway)
    counts = {le: float(line.rpartition(" ")[2]) for line in text.splitlines() for le in LES if line.startswith(HELD % le)}
    assert counts["+Inf"] - counts["0.25"] >= 1


HELD = 'bff_loop_held_seconds_bucket{le="%s"}'
LES = ("0.25", "+Inf")


def metrics(gateway: RunningGateway) -> str:
    """The metrics' text."""
    return gateway.http.get(f"{gateway.url}/metrics").text
