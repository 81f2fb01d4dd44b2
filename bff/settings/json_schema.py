"""A JSON schema of the settings file, with which editors complete and check it."""

from typing import Any

from bff.app import App
from bff.settings.model import settings_class


def json_schema(app: App) -> dict[str, Any]:
    """The schema for an application's `bff.toml` (JSON Schema, draft 2020-12)."""
    schema = settings_class(app).model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "bff.toml"
    return schema
