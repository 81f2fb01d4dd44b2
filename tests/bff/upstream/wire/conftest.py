"""The wires' tests run on both event loops: asyncio's own, and uvloop, which serves."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each in turn."""
    return {"plain": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
