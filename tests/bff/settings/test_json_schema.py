"""The JSON schema of the settings file: its settings are those of the application."""

import json
from typing import Any

from bff.settings.json_schema import json_schema
from schema.app import app as shop_app
from tests.bff.commands.test_main import bff


def at(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    """The schema of a setting."""
    found = schema
    for name in path:
        while "$ref" in found:
            found = schema["$defs"][found["$ref"].rpartition("/")[2]]
        found = found["properties"][name]
    return found


def test_it_has_the_settings_of_the_application() -> None:
    """With types and bounds; an unknown name is an error."""
    schema = json_schema(shop_app)
    timeout = at(schema, "sources", "orders", "timeout_s")
    assert (timeout["type"], timeout["exclusiveMinimum"], timeout["maximum"]) == ("number", 0, 300)
    assert at(schema, "variants", "web", "access")["anyOf"][0]["enum"] == ["anyone", "signed_in", "key", "signed_in_or_key"]
    assert schema["additionalProperties"] is False
    assert "orders_service_url" in schema["properties"]


def test_lists_may_be_text() -> None:
    """As they may be in the file."""
    kinds = [each["type"] for each in at(json_schema(shop_app), "cors", "origins")["anyOf"]]
    assert sorted(kinds) == ["array", "string"]


def test_the_command_prints_it() -> None:
    """As JSON."""
    result = bff("settings", "schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "bff.toml"
