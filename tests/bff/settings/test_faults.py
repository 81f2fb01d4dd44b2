"""An unknown setting: where it stands, and what was probably meant."""

from pathlib import Path

import pytest

from bff.settings import SettingsError, load
from schema.app import app as shop_app


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("prot = 1", "prot (BFF_PROT): unknown setting in shop.toml; did you mean port?"),
        (
            "[sources.order]\ntimeout_s = 1",
            "sources.order (BFF_SOURCES__ORDER): unknown setting in shop.toml; did you mean sources.orders?",
        ),
        (
            "[sources.orders]\ntimeout = 1",
            "sources.orders.timeout (BFF_SOURCES__ORDERS__TIMEOUT): unknown setting in shop.toml; "
            "did you mean sources.orders.timeout_s?",
        ),
        (
            "[sources.orders.breaker]\nopen = 1",
            "sources.orders.breaker.open (BFF_SOURCES__ORDERS__BREAKER__OPEN): unknown setting in shop.toml; "
            "did you mean sources.orders.breaker.open_s?",
        ),
        (
            "[consumers.partner]\nkey_sha = 'x'",
            "consumers.partner.key_sha (BFF_CONSUMERS__PARTNER__KEY_SHA): unknown setting in shop.toml; "
            "did you mean consumers.partner.key_sha256?",
        ),
        ("failure_ratio = 1", "did you mean sources.users.breaker.failure_ratio?"),
        ("qqqqqqqq = 1", "qqqqqqqq (BFF_QQQQQQQQ): unknown setting in shop.toml"),
    ],
)
def test_the_file_and_the_likely_name_are_told(tmp_path: Path, file: str, message: str) -> None:
    """A name beside it, or the same name elsewhere; no suggestion where nothing is like it."""
    path = tmp_path / "shop.toml"
    path.write_text(file)
    with pytest.raises(SettingsError) as refused:
        load(shop_app, {}, file=path)
    assert any(line.endswith(message) for line in str(refused.value).splitlines()), str(refused.value)


def test_the_environment_is_told_too() -> None:
    """So that nobody looks for it in the file."""
    with pytest.raises(SettingsError, match=r"rates \(BFF_RATES\): unknown setting in the environment; did you mean rate\?"):
        load(shop_app, {"BFF_RATES": "1"}, default_file=None)


def test_a_list_of_tables_is_one_variable() -> None:
    """Its members have no variables of their own."""
    routes = '[{"path": "/v1", "source": "users"}, {"path": "v2", "source": "users"}]'
    with pytest.raises(SettingsError, match=r"^routes\.1\.path \(BFF_ROUTES\): "):
        load(shop_app, {"BFF_ROUTES": routes}, default_file=None)
    with pytest.raises(SettingsError, match=r"^routes \(BFF_ROUTES\): .*expected an array of objects in JSON$"):
        load(shop_app, {"BFF_ROUTES": "[{"}, default_file=None)
    for name in ("1", "partner"):
        with pytest.raises(SettingsError, match=rf"BFF_CONSUMERS__{name.upper()}__NAME"):
            load(shop_app, {f"BFF_CONSUMERS__{name}__NAME": "x"}, default_file=None)
