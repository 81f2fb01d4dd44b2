"""Names of sources and variants: each can be set by the environment, or it stops the start with a message."""

import warnings

import pytest
import strawberry

from bff.app import App
from bff.graph.variants import Variant
from bff.settings import SettingsError, load
from bff.upstream.records import Record
from bff.upstream.source import Source


class Thing(Record, frozen=True):
    id: int


@strawberry.type
class Query:
    """Nothing in particular."""

    one: int = 1


def app_of(source: str = "things", variant: str = "web", **defaults: object) -> App:
    """An application with a source and a variant of those names."""
    kind = type("Things", (Source,), {"name": source, "record": Thing, "path": "/things"}, **defaults)
    return App(Query, (kind,), (Variant(variant),))


@pytest.mark.parametrize("name", ["a__b", "a_", "_a", "a" * 64, "A", "a-b", "ä"])
def test_a_source_has_a_name_that_the_environment_can_have(name: str) -> None:
    """`__` parts the path of a setting: a source with it in its name could not be set."""
    with pytest.raises(TypeError, match=r"Things\.name"):
        app_of(source=name)


@pytest.mark.parametrize("name", ["schema", "json", "copy", "model_config", "model_dump", "model_fields_set"])
def test_a_name_that_settings_cannot_have_stops_the_start(name: str) -> None:
    """A table of settings has members of that name already."""
    with pytest.raises(SettingsError, match=rf"source.*{name}"):
        load(app_of(source=name), {})
    with pytest.raises(SettingsError, match=rf"variant.*{name}"):
        load(app_of(variant=name), {})


@pytest.mark.parametrize("name", ["jwt", "redis", "host", "app", "sources", "class", "model_cars", "bff", "bff_1", "log"])
def test_any_other_name_can_be_set(name: str) -> None:
    """Whatever else has that name."""
    environment = {
        f"{name.upper()}_SERVICE_URL": "http://a:1",
        f"BFF_SOURCES__{name.upper()}__TIMEOUT_S": "7",
        f"BFF_VARIANTS__{name.upper()}__INTROSPECTION": "true",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = load(app_of(name, name), environment)
    assert settings.source(name).timeout_s == 7
    assert settings.variant(name).introspection is True
    assert [each.url for each in settings.instances(name) or ()] == ["http://a:1"]


def test_an_unknown_default_of_a_source_is_named() -> None:
    """A slip of the pen in a class's keywords would go unnoticed."""
    with pytest.raises(SettingsError, match=r"sources\.things\.forward_identty"):
        load(app_of(forward_identty=False), {})
    with pytest.raises(SettingsError, match=r"sources\.things\.timeout_s"):
        load(app_of(timeout_s=-1), {})


def test_an_unknown_default_of_a_variant_is_named() -> None:
    """Also within a table."""
    kind = type("Things", (Source,), {"record": Thing, "path": "/things"})
    app = App(Query, (kind,), (Variant("web", defaults={"limits": {"cots": 1}}),))
    with pytest.raises(SettingsError, match=r"variants\.web\.limits\.cots"):
        load(app, {})
