"""A gateway with routes on real sockets, in front of a raw service."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.background import Background
from tests.support.routes import ROUTE, Routed, routed
from tests.support.upstreams import Answer, echo

StartRouted = Callable[..., Routed]


@pytest.fixture
def start(own_background: Background, tmp_path: Path) -> StartRouted:
    """Starts a gateway with routes: the settings file's text, what the service does, and environment variables."""

    def begin(text: str = ROUTE, answer: Answer = echo, **environment: str) -> Routed:
        return own_background.enter(routed(tmp_path, text, answer, **environment))

    return begin
