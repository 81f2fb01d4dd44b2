"""Fixtures of the sources' tests: a clock that the test moves, and services that are faked by respx."""

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import pytest
import respx

from bff.upstream.caller import Caller
from bff.upstream.source import Source
from bff.upstream.wire import WireOptions
from bff.upstream.wire.httpx_wire import HttpxWire
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from tests.support.fakes import Clock, Heard, Service, make_caller, make_stack

S = TypeVar("S", bound=Source[Any])


class MakeSource(Protocol):
    """Makes a source of that class in front of the test's service."""

    def __call__(self, kind: type[S], *, forward_identity: bool = False) -> S:
        """Bind the source to a real traffic stack and wire."""
        ...


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves. The event loop's timers don't follow it: see `loop_clock`."""
    return Clock()


@pytest.fixture
async def loop_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The same clock, which the event loop's timers follow."""
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    return clock


@pytest.fixture
def heard() -> Heard:
    """The recorded events."""
    return Heard()


@pytest.fixture
def caller(clock: Clock) -> Caller:
    """An anonymous caller with ten seconds left."""
    return make_caller(clock)


@pytest.fixture(scope="session")
def played_wire() -> HttpxWire:
    """The real wire, used only with respx. It never connects, so that it can outlive event loops."""
    return HttpxWire(WireOptions(max_connections=10))


@pytest.fixture
def service() -> Iterator[Service]:
    """The service behind every source of a test."""
    with respx.mock(using="httpcore", assert_all_called=False) as router:
        yield Service(router)


@pytest.fixture
def make_source(service: Service, played_wire: HttpxWire, clock: Clock, heard: Heard) -> MakeSource:
    """Makes sources in front of `service`, on a real stack and wire."""

    def make(kind: type[S], *, forward_identity: bool = False) -> S:
        return kind(make_stack(played_wire, clock, heard, source=kind.name), forward_identity=forward_identity)

    return make


@pytest.fixture
def users(make_source: MakeSource) -> Users:
    """The users source with its default settings."""
    return make_source(Users, forward_identity=True)


@pytest.fixture
def orders(make_source: MakeSource) -> Orders:
    """The orders source with its default settings."""
    return make_source(Orders, forward_identity=True)


@pytest.fixture
def products(make_source: MakeSource) -> Products:
    """The products source with its default settings."""
    return make_source(Products, forward_identity=False)
