"""A server under a supervisor."""

import signal
from typing import Any

import pytest

from bff.server.server import Server
from bff.server.worker import WorkerServer


def test_only_the_first_signal_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal to the whole process group reaches a worker twice: the second one is ignored."""
    handled: list[int] = []
    monkeypatch.setattr(Server, "handle_exit", lambda _, number, __: handled.append(number))
    server: Any = WorkerServer.__new__(WorkerServer)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        server.handle_exit(number, None)
    assert handled == [signal.SIGINT]
