"""Paths in the settings file are relative to its folder."""

from pathlib import Path

import pytest

from bff.settings import SettingsError, load
from schema.app import app as shop_app

FILE = """
[sources.orders.tls]
ca_file = "ca.pem"
cert_file = "/etc/own.pem"

[variants.web]
manifests = ["manifests/web.json", "/srv/all"]

[variants.mobile]
manifests = "a.json, b.json"
"""


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    """Wherever the gateway is started. Absolute ones stay as they are; a list may also be text."""
    (tmp_path / "deploy").mkdir()
    file = tmp_path / "deploy" / "bff.toml"
    file.write_text(FILE)
    settings = load(shop_app, {}, file=file)
    folder = str(tmp_path / "deploy")
    assert settings.source("orders").tls.ca_file == f"{folder}/ca.pem"
    assert settings.source("orders").tls.cert_file == "/etc/own.pem"
    assert settings.variant("web").manifests == (f"{folder}/manifests/web.json", "/srv/all")
    assert settings.variant("mobile").manifests == (f"{folder}/a.json", f"{folder}/b.json")


def test_paths_in_the_environment_start_at_the_working_folder(tmp_path: Path) -> None:
    """As everywhere."""
    file = tmp_path / "bff.toml"
    file.write_text("port = 1\n")
    settings = load(shop_app, {"BFF_SOURCES__ORDERS__TLS__CA_FILE": "ca.pem"}, file=file)
    assert settings.source("orders").tls.ca_file == "ca.pem"


def test_a_value_that_is_no_path_is_left_to_the_check(tmp_path: Path) -> None:
    """The message is that of the setting, not of the path."""
    file = tmp_path / "bff.toml"
    file.write_text("[variants.web]\nmanifests = 7\n[sources]\norders = 3\n")
    with pytest.raises(SettingsError, match=r"variants\.web\.manifests"):
        load(shop_app, {}, file=file)
