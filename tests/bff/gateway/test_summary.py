"""What the gateway serves, to whom, and what is off, as the log says at the start."""

from pathlib import Path
from typing import Any

from bff.gateway import create
from bff.settings import load
from schema.app import app as shop_app

PLACES = {f"{name.upper()}_SERVICE_URL": f"http://{name}.internal:1" for name in ("users", "orders", "products")}
BASE = PLACES | {"JWT_SECRET": "a secret of these tests, long enough for HS256"}


def described(**changes: str) -> list[tuple[str, dict[str, Any]]]:
    """The lines for these settings."""
    return list(create(shop_app, load(shop_app, BASE | changes, default_file=None)).describe())


def test_each_variant_says_who_may_come_in() -> None:
    """With the documents that it takes."""
    lines = {fields["variant"]: fields for _, fields in described(BFF_VARIANTS__WEB__ACCESS="key") if "variant" in fields}
    assert {name: fields["to"] for name, fields in lines.items()} == {
        "web": "programs with an API key",
        "mobile": "anyone",
        "admin": "signed-in users with the role admin",
    }
    assert lines["web"]["endpoint"] == "/web/graphql"
    assert lines["web"]["documents"] == "any"


def test_sources_are_described_without_their_addresses() -> None:
    """How many instances, and whose identity they get."""
    lines = described(
        ORDERS_SERVICE_URL="http://a.internal,http://b.internal", BFF_SOURCES__USERS__HEADERS__AUTHORIZATION="Basic x"
    )
    sources = {fields["source"]: fields for event, fields in lines if event == "in front of"}
    assert sources["orders"] == {"source": "orders", "instances": 2, "user_is_sent": True, "own_identity": None}
    assert sources["users"]["own_identity"] == "static"
    assert "internal" not in str(lines)


def test_what_is_off_is_told() -> None:
    """So that nobody believes in a protection that is not there."""
    (off,) = [fields["features"] for event, fields in described(BFF_RATE__ENABLED="false") if event == "off"]
    assert {"rates", "CORS", "API keys"} <= set(off)
    (off,) = [fields["features"] for event, fields in described(BFF_CORS__ORIGINS="https://a.example") if event == "off"]
    assert "CORS" not in off
    assert "rates" not in off


def test_rates_that_each_worker_counts_are_told() -> None:
    """Several workers without Redis: a client gets the rate of each."""
    assert [fields for event, fields in described(WORKERS="2") if event.startswith("each worker counts")] == [{"workers": 2}]
    assert not [event for event, _ in described() if event.startswith("each worker counts")]


def test_routes_say_who_may_use_them(tmp_path: Path) -> None:
    """As variants do."""
    file = tmp_path / "bff.toml"
    file.write_text('[[routes]]\npath = "/api/users"\nsource = "users"\naccess = "signed_in"\n')
    gateway = create(shop_app, load(shop_app, BASE, file=file))
    (line,) = [fields for _, fields in gateway.describe() if "route" in fields]
    assert line == {"route": "/api/users", "methods": ["GET", "HEAD"], "to": "signed-in users", "source": "users"}
