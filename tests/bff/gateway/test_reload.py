"""Reloading the settings: what changes while the gateway runs, what needs a restart, and that it is all or nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from bff.gate.consumers import digest_of
from bff.gateway import create, with_cors
from bff.graph.context import Viewer
from bff.graph.controls import Reloaded
from bff.server.host import Gateway
from bff.settings import Settings, SettingsError, load
from bff.testing import signed_token
from bff.upstream.traffic.balance import InstanceOptions
from schema.app import app as shop_app

PLACES = {f"{name.upper()}_SERVICE_URL": f"http://{name}:1" for name in ("users", "orders", "products")}
SECRET, OTHER_SECRET = "the secret of before, long enough for HS256", "the secret of after, long enough for HS256"
BASE = PLACES | {"JWT_SECRET": SECRET}
TYPENAME = orjson.dumps({"query": "{ __typename }"})


def settings(**changes: str) -> Settings:
    """Settings with the URLs of all services."""
    return load(shop_app, BASE | changes, default_file=None)


class Reloadable:
    """A gateway in memory that reads `now` when it reloads."""

    def __init__(self, before: Settings) -> None:
        self.now: Callable[[], Settings] = lambda: before
        self.gateway: Gateway = create(shop_app, before, load_again=lambda: self.now())  # noqa: PLW0108 - it changes
        self.asgi = with_cors(self.gateway)

    async def reload(self, **changes: str) -> Reloaded:
        """Reload with these settings."""
        self.now = lambda: settings(**changes)
        return await self.gateway.reload()

    async def ask(self, body: bytes = TYPENAME, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """POST to the variant `web`."""
        sent = {"content-type": "application/json", **(headers or {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.asgi), base_url="http://gateway") as client:
            return await client.post("/web/graphql", headers=sent, content=body)

    def instances(self, source: str) -> list[tuple[str, int]]:
        """URL and weight of a source's instances."""
        found: Any = self.gateway.served.services.sources
        (stack,) = [each._transport for each in found if each.name == source]
        return [(each.url, each.weight) for each in stack._balance.instances]


@asynccontextmanager
async def reloadable(**environment: str) -> AsyncIterator[Reloadable]:
    """A gateway in memory, while it runs."""
    made = Reloadable(settings(**environment))
    async with made.gateway.router.lifespan_context(made.gateway):
        yield made


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """The messages of reloads."""
    return [(each.getMessage(), each.__dict__["fields"]) for each in caplog.records if each.name == "bff.reload"]


def bearer(secret: str) -> dict[str, str]:
    """A token signed with that secret."""
    return {"authorization": f"Bearer {signed_token(settings(JWT_SECRET=secret), Viewer('1'))}"}


async def test_changed_instances_are_applied(caplog: pytest.LogCaptureFixture) -> None:
    """Only those of the changed source. A second reload of the same changes nothing."""
    caplog.set_level(logging.INFO, "bff.reload")
    async with reloadable() as running:
        changes = {"ORDERS_SERVICE_URL": "http://orders:1;weight=9,http://new:1"}
        assert await running.reload(**changes) == Reloaded(("orders",), ("orders_service_url",))
        assert await running.reload(**changes) == Reloaded()
        assert running.instances("orders") == [("http://orders:1", 9), ("http://new:1", 1)]
        assert running.instances("users") == [("http://users:1", 1)]
    assert lines(caplog) == [
        ("settings reloaded", {"changed": ("orders_service_url",), "needs_restart": ()}),
        ("settings reloaded", {"changed": (), "needs_restart": ()}),
    ]


async def test_a_source_without_a_url_keeps_its_instances() -> None:
    """A gateway needs every source, so a URL that was left out is no change."""
    async with reloadable() as running:
        running.now = lambda: load(shop_app, {"JWT_SECRET": SECRET}, default_file=None)
        assert await running.gateway.reload() == Reloaded()
        assert running.instances("orders") == [("http://orders:1", 1)]


async def test_settings_that_need_a_restart_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """They apply after a restart. Each reload logs their names, without the values."""
    caplog.set_level(logging.INFO, "bff.reload")
    async with reloadable() as running:
        changes = {"BFF_SOURCES__ORDERS__TIMEOUT_S": "1", "PORT": "1234", "REDIS_URL": "redis://:hidden@host"}
        for _ in range(2):
            assert (await running.reload(**changes)).needs_restart == ("port", "redis_url", "sources.orders.timeout_s")
    assert "hidden" not in caplog.text


async def test_invalid_settings_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the valid part of them. The log has the reason."""

    def broken() -> Settings:
        raise SettingsError("orders_service_url (ORDERS_SERVICE_URL): expected URLs\nport (PORT): too large")

    async with reloadable() as running:
        served = running.gateway.served
        running.now = broken
        faults = ("orders_service_url (ORDERS_SERVICE_URL): expected URLs", "port (PORT): too large")
        assert await running.gateway.reload() == Reloaded(faults=faults)
        assert running.gateway.served is served
    assert lines(caplog) == [("settings not reloaded", {"faults": list(faults)})]


async def test_contradictory_settings_change_nothing() -> None:
    """Faults that are found only when the settings are applied: nothing is applied then."""
    async with reloadable() as running:
        served = running.gateway.served
        changes = {
            "BFF_CONSUMERS__PARTNER__KEY_SHA256": digest_of("k"),
            "BFF_CONSUMERS__PARTNER__VARIANTS": "web",
            "BFF_CONSUMERS__PARTNER__TIER": "gold",
            "JWT_SECRET": OTHER_SECRET,
        }
        reloaded = await running.reload(**changes)
        assert reloaded.faults == ("consumers.partner.tier: there is no tier of that name",)
        assert running.gateway.served is served
        assert (await running.ask(headers=bearer(SECRET))).status_code == 200


async def test_an_internal_error_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged without its message."""

    def failing() -> Settings:
        raise RuntimeError("a secret in a message")

    async with reloadable() as running:
        running.now = failing
        assert (await running.gateway.reload()).faults == ("an internal error, which the log describes",)
        assert (await running.ask()).status_code == 200
    assert "a secret in a message" not in caplog.text


async def test_without_a_way_to_load_settings_nothing_changes(caplog: pytest.LogCaptureFixture) -> None:
    """As in tests that make their gateway directly."""
    gateway = create(shop_app, settings())
    assert (await gateway.reload()).faults == ("this gateway has no settings file to read again",)
    assert lines(caplog) == [("nothing to reload", {})]


async def test_a_leaked_key_is_gone_at_once() -> None:
    """The very next request with it is refused, and the new key is accepted."""
    name = "BFF_CONSUMERS__PARTNER__"
    async with reloadable(**{f"{name}KEY_SHA256": digest_of("leaked"), f"{name}VARIANTS": "web"}) as running:
        assert (await running.ask(headers={"x-api-key": "leaked"})).status_code == 200
        reloaded = await running.reload(**{f"{name}KEY_SHA256": digest_of("new"), f"{name}VARIANTS": "web"})
        assert reloaded.changed == ("consumers.partner.key_sha256",)
        assert (await running.ask(headers={"x-api-key": "leaked"})).status_code == 401
        assert (await running.ask(headers={"x-api-key": "new"})).status_code == 200


async def test_a_changed_secret_refuses_the_tokens_of_before() -> None:
    """Also those that were accepted and cached."""
    async with reloadable() as running:
        assert (await running.ask(headers=bearer(SECRET))).status_code == 200
        assert (await running.reload(JWT_SECRET=OTHER_SECRET)).changed == ("jwt_secret",)
        assert (await running.ask(headers=bearer(SECRET))).status_code == 401
        assert (await running.ask(headers=bearer(OTHER_SECRET))).status_code == 200


async def test_rates_change_and_counts_stay() -> None:
    """A lower rate applies to what was used before: a reload gives nobody a fresh allowance."""
    async with reloadable(BFF_VARIANTS__WEB__RATE__BURST="3", BFF_VARIANTS__WEB__RATE__PER_MINUTE="1") as running:
        assert [(await running.ask()).status_code for _ in range(3)] == [200] * 3
        assert (await running.ask()).status_code == 429
        await running.reload(BFF_VARIANTS__WEB__RATE__BURST="2", BFF_VARIANTS__WEB__RATE__PER_MINUTE="1")
        assert (await running.ask()).status_code == 429
        assert (await running.reload(BFF_RATE__ENABLED="false")).changed[0] == "rate.enabled"
        assert (await running.ask()).status_code == 200


async def test_limits_change() -> None:
    """Documents are prepared again by the new limits, also those that are cached."""
    deep = orjson.dumps({"query": "{ product(id: 1) { name } }"})
    async with reloadable() as running:
        assert "QUERY_TOO_COMPLEX" not in (await running.ask(body=deep)).text
        await running.reload(BFF_VARIANTS__WEB__LIMITS__DEPTH="1")
        assert "QUERY_TOO_COMPLEX" in (await running.ask(body=deep)).text


async def test_manifests_are_read_again(tmp_path: Path) -> None:
    """Also where their names stay the same. A broken one changes nothing."""
    manifest = tmp_path / "app.json"
    manifest.write_bytes(orjson.dumps({"old": "{ __typename }"}))
    changes = {"BFF_VARIANTS__WEB__DOCUMENTS": "trusted", "BFF_VARIANTS__WEB__MANIFESTS": str(manifest)}

    def asked(id: str) -> bytes:
        return orjson.dumps({"documentId": id})

    async with reloadable(**changes) as running:
        assert (await running.ask(body=asked("old"))).status_code == 200
        manifest.write_bytes(orjson.dumps({"new": "{ __typename }"}))
        await running.reload(**changes)
        assert (await running.ask(body=asked("new"))).status_code == 200
        assert "OPERATION_NOT_ALLOWED" in (await running.ask(body=asked("old"))).text
        manifest.write_bytes(b"{")
        assert "expected a manifest" in (await running.reload(**changes)).faults[0]
        assert (await running.ask(body=asked("new"))).status_code == 200


async def test_what_stays_the_same_keeps_its_caches() -> None:
    """A variant whose settings did not change is the same object; tokens stay cached; plans outlive another rate."""
    async with reloadable() as running:
        before = running.gateway.served
        await running.reload(BFF_VARIANTS__WEB__RATE__BURST="7")
        after = running.gateway.served
        assert after.endpoints["mobile"] is before.endpoints["mobile"]
        assert after.endpoints["web"] is not before.endpoints["web"]
        assert after.endpoints["web"].plans is before.endpoints["web"].plans
        assert after.endpoints["web"].rate.burst == 7
        assert after.services.authenticator is before.services.authenticator


async def test_the_level_of_the_log_changes() -> None:
    """So that a fault can be looked for without a restart."""
    level = logging.getLogger("bff").level
    try:
        async with reloadable() as running:
            await running.reload(LOG_LEVEL="debug")
            assert logging.getLogger("bff").level == logging.DEBUG
    finally:
        logging.getLogger("bff").setLevel(level)


async def test_two_reloads_at_the_same_time_follow_each_other() -> None:
    """The second one reads what is there when the first has been applied."""
    async with reloadable() as running:
        reads: list[InstanceOptions] = []

        def reading() -> Settings:
            read = settings(ORDERS_SERVICE_URL=f"http://orders:{len(reads) + 2}")
            reads.extend(read.instances("orders") or ())
            return read

        running.now = reading
        first, second = await asyncio.gather(running.gateway.reload(), running.gateway.reload())
        assert first.moved == second.moved == ("orders",)
        assert running.instances("orders") == [("http://orders:3", 1)]


async def test_deadlines_and_limits_of_work_change() -> None:
    """Those of all requests as well as a variant's own. What did not change is used again."""
    reloadable = Reloadable(settings())
    before = reloadable.gateway.served.endpoints["web"]
    await reloadable.reload()
    assert reloadable.gateway.served.endpoints["web"] is before
    await reloadable.reload(BFF_REQUEST__DEADLINE_S="4", BFF_VARIANTS__MOBILE__DEADLINE_S="3")
    served = reloadable.gateway.served.endpoints
    assert (served["web"].deadlines.request_s, served["mobile"].deadlines.request_s) == (4, 3)
    assert served["web"].plans is before.plans
    await reloadable.reload(BFF_VARIANTS__WEB__LIMITS__CALLS="1", BFF_VARIANTS__WEB__LIMITS__WAVES="1")
    query = orjson.dumps({"query": '{ product(id: "1") { id } products { nodes { id } } }'})
    assert "upstream calls: 2, allowed are 1" in (await reloadable.ask(query)).text
