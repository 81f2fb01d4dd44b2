"""Reading the settings again: what is taken over while the gateway runs, and what is only told."""

import logging
from typing import Any

import pytest

from bff.reload import Reload
from bff.settings import Settings, SettingsError, load
from bff.upstream.traffic.balance import InstanceOptions
from schema.app import app as shop_app

PLACES = {f"{name.upper()}_SERVICE_URL": f"http://{name}:1" for name in ("users", "orders", "products")}


class Moved:
    """A stack, as far as it can be moved."""

    def __init__(self) -> None:
        self.to: list[tuple[InstanceOptions, ...]] = []

    def set_instances(self, instances: tuple[InstanceOptions, ...]) -> None:
        self.to.append(instances)


@pytest.fixture
def stacks() -> dict[str, Any]:
    """The stacks by source."""
    return {name: Moved() for name in ("users", "orders", "products")}


def settings(**changes: str) -> Settings:
    """Settings that name all services."""
    return load(shop_app, PLACES | changes)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """What the log was told."""
    return [(record.getMessage(), record.__dict__["fields"]) for record in caplog.records]


def test_instances_that_changed_are_taken_over(stacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Those of that source, and each change once."""
    caplog.set_level(logging.INFO, "bff.reload")
    reload = Reload(settings(), lambda: settings(ORDERS_SERVICE_URL="http://orders:1;weight=9,http://new:1"), stacks)
    reload()
    reload()
    expected = (InstanceOptions("http://orders:1", 9), InstanceOptions("http://new:1"))
    assert {name: stack.to for name, stack in stacks.items()} == {"users": [], "orders": [expected], "products": []}
    assert lines(caplog) == [
        ("settings reloaded", {"moved": ["orders"], "needs_restart": []}),
        ("settings reloaded", {"moved": [], "needs_restart": []}),
    ]


def test_what_cannot_change_is_named(stacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It stays as it is until a restart; the log says so each time, and never with a value."""
    caplog.set_level(logging.INFO, "bff.reload")
    after = settings(BFF_SOURCES__ORDERS__TIMEOUT_S="1", JWT_SECRET="another secret")
    reload = Reload(settings(), lambda: after, stacks)
    reload()
    reload()
    assert lines(caplog) == [("settings reloaded", {"moved": [], "needs_restart": ["jwt_secret", "sources"]})] * 2
    assert "another" not in caplog.text


def test_settings_that_can_t_be_used_change_nothing(stacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """All stays as it is, and the log says why."""

    def broken() -> Settings:
        raise SettingsError("orders_service_url (ORDERS_SERVICE_URL): expected URLs\nport (PORT): too large")

    Reload(settings(), broken, stacks)()
    assert [stack.to for stack in stacks.values()] == [[], [], []]
    (line,) = lines(caplog)
    assert line == (
        "settings not reloaded",
        {"faults": ["orders_service_url (ORDERS_SERVICE_URL): expected URLs", "port (PORT): too large"]},
    )


def test_a_source_that_is_no_longer_named_stays_where_it_is(stacks: dict[str, Any]) -> None:
    """No gateway goes without one."""
    Reload(settings(), lambda: load(shop_app, {}), stacks)()
    assert [stack.to for stack in stacks.values()] == [[], [], []]


def test_without_settings_to_read_nothing_happens(stacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """As in a test that made its gateway by hand."""
    Reload(settings(), None, stacks)()
    assert lines(caplog) == [("nothing to reload", {})]
