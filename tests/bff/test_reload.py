"""Reloading the settings: what changes while the gateway runs, and what needs a restart."""

import logging
from typing import Any

import pytest

from bff.reload import Reload
from bff.settings import Settings, SettingsError, load
from bff.upstream.traffic.balance import InstanceOptions
from schema.app import app as shop_app

PLACES = {f"{name.upper()}_SERVICE_URL": f"http://{name}:1" for name in ("users", "orders", "products")}


class Moved:
    """A traffic stack, as far as its instances can be changed."""

    def __init__(self) -> None:
        self.to: list[tuple[InstanceOptions, ...]] = []

    def set_instances(self, instances: tuple[InstanceOptions, ...]) -> None:
        self.to.append(instances)


@pytest.fixture
def stacks() -> dict[str, Any]:
    """The stacks by source."""
    return {name: Moved() for name in ("users", "orders", "products")}


def settings(**changes: str) -> Settings:
    """Settings with the URLs of all services."""
    return load(shop_app, PLACES | changes)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """The log's messages."""
    return [(record.getMessage(), record.__dict__["fields"]) for record in caplog.records]


def test_changed_instances_are_applied(stacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Only those of the changed source, and each change once."""
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


def test_settings_that_need_a_restart_are_named(stacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It applies after a restart. Each reload logs its name, without the value."""
    caplog.set_level(logging.INFO, "bff.reload")
    after = settings(BFF_SOURCES__ORDERS__TIMEOUT_S="1", JWT_SECRET="another secret")
    reload = Reload(settings(), lambda: after, stacks)
    reload()
    reload()
    assert lines(caplog) == [("settings reloaded", {"moved": [], "needs_restart": ["jwt_secret", "sources"]})] * 2
    assert "another" not in caplog.text


def test_invalid_settings_change_nothing(stacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing changes, and the log has the reason."""

    def broken() -> Settings:
        raise SettingsError("orders_service_url (ORDERS_SERVICE_URL): expected URLs\nport (PORT): too large")

    Reload(settings(), broken, stacks)()
    assert [stack.to for stack in stacks.values()] == [[], [], []]
    (line,) = lines(caplog)
    assert line == (
        "settings not reloaded",
        {"faults": ["orders_service_url (ORDERS_SERVICE_URL): expected URLs", "port (PORT): too large"]},
    )


def test_a_source_without_a_url_keeps_its_instances(stacks: dict[str, Any]) -> None:
    """Its instances stay: a gateway needs every source."""
    Reload(settings(), lambda: load(shop_app, {}), stacks)()
    assert [stack.to for stack in stacks.values()] == [[], [], []]


def test_without_a_way_to_load_settings_nothing_changes(stacks: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """As in tests that make their gateway directly."""
    Reload(settings(), None, stacks)()
    assert lines(caplog) == [("nothing to reload", {})]
