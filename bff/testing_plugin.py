"""Fixtures for pytest: `pytest_plugins = ["bff.testing_plugin"]` in the application's `conftest.py`.

    @pytest.fixture
    def app() -> App:
        return shop

    def test_an_unknown_order(gateway: BlockingGateway) -> None:
        assert gateway.ask("web", '{ order(id: "0") { total } }').data == {"order": None}

A test must override the fixture `app`. It may override `services`, `settings`, `viewer` and `clock`. They are the arguments
of `bff.testing.running`. The fixtures need no plugin for asyncio: each has an event loop of its own. A test that is a
coroutine uses `bff.testing.running` itself.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bff.app import App
from bff.graph.context import Viewer
from bff.testing import BlockingGateway, Clock, Held, Services, ServingGateway
from bff.testing import running as running_in_memory
from bff.testing import serving as serving_on_loopback


@pytest.fixture
def app() -> App:
    """The application to test. Each project must override this fixture."""
    pytest.fail("expected a fixture `app` that returns your bff.App, in conftest.py", pytrace=False)


@pytest.fixture
def services() -> Services | None:
    """The services; None for the application's demo services."""
    return None


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """The settings, as the settings file has them."""
    return {}


@pytest.fixture
def viewer() -> Viewer | None:
    """The signed-in user, unless a test names another; None for anonymous requests."""
    return None


@pytest.fixture
def clock() -> Clock:
    """The gateway's time, which stands still until the test moves it."""
    return Clock()


@pytest.fixture
def gateway(
    app: App, services: Services | None, settings: Mapping[str, Any], viewer: Viewer | None, clock: Clock
) -> Iterator[BlockingGateway]:
    """The application in memory. A request that a `Scripted` service has no answer to fails the test at its end."""
    with asyncio.Runner() as runner:
        held = Held(running_in_memory(app, services, settings, viewer=viewer, clock=clock))
        yield BlockingGateway(runner.run(held.enter()), runner)
        runner.run(held.exit())


@pytest.fixture
def serving(app: App, services: Services | None, settings: Mapping[str, Any]) -> Iterator[ServingGateway]:
    """The application on real sockets, on a loopback port, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bff-serving", daemon=True)
    thread.start()
    held = Held(serving_on_loopback(app, services, settings))
    try:
        yield asyncio.run_coroutine_threadsafe(held.enter(), loop).result()
        asyncio.run_coroutine_threadsafe(held.exit(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
