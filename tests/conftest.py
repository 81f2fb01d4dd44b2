"""Fixtures that whole-path tests share: servers on real sockets, in threads of their own."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings as hypothesis_settings

from tests.support.background import Background
from tests.support.demo import ANY_PORTS, running
from tests.support.gateways import RunningGateway, free_port, running_gateway
from tests.support.redis import RunningRedis
from tests.support.services import Tapped, tapped_services

# The same examples each time, and no clock: a test that fails does so for everybody.
hypothesis_settings.register_profile("project", derandomize=True, deadline=None)
hypothesis_settings.load_profile("project")

StartGateway = Callable[..., RunningGateway]


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    """An event loop for servers that the whole session shares."""
    loop = Background()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def dev_gateway(background: Background) -> RunningGateway:
    """A gateway in dev mode in front of the demo services. Shared: only read through it."""
    services = background.enter(running(ports=ANY_PORTS))
    return background.enter(running_gateway(services, mode="dev"))


@pytest.fixture
def own_background() -> Iterator[Background]:
    """An event loop for servers of one test."""
    loop = Background()
    yield loop
    loop.close()


@pytest.fixture
def redis() -> Iterator[RunningRedis]:
    """A real Redis of one test."""
    running = RunningRedis(free_port())
    running.start()
    yield running
    running.stop()


@pytest.fixture
def services(own_background: Background) -> Tapped:
    """Demo services of one test: counted, with data of its own, and ready to fail."""
    return own_background.enter(tapped_services())


@pytest.fixture
def start_gateway(own_background: Background, services: Tapped) -> StartGateway:
    """Starts a gateway of one test in front of `services`; keywords are environment variables."""

    def start(**environment: str) -> RunningGateway:
        return own_background.enter(running_gateway(services.urls, environment))

    return start


@pytest.fixture
def gateway(start_gateway: StartGateway) -> RunningGateway:
    """A gateway of one test, with the default settings of `bff serve`."""
    return start_gateway()
