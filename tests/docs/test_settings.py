"""docs/settings.md has every setting, and no other."""

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from bff.settings import settings_class
from bff.settings.routes import RouteSettings
from bff.settings.sources import ServiceSettings
from schema.app import app

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


ROUTES_PAGE = PAGE.with_name("routes.md")


def documented(text: str) -> set[str]:
    """The names in the first column of the table of settings, as the file has them.

    `.name` is beside the name before it; `NAME` stands for any source, variant, issuer, consumer or tier.
    """
    table = text.partition("| setting | meaning | default |")[2].partition("\n\n")[0]
    names: set[str] = set()
    for row in table.splitlines()[2:]:
        before = ""
        for name in re.findall(r"`([\w.]+)`", row.split("|")[1]):
            full = f"{before.rpartition('.')[0]}{name}" if name.startswith(".") else name
            is_plain = "." not in full  # a plain name of the environment
            names.add(full.lower() if is_plain else full)
            before = full
    return names


def settings_in(model: Any, path: str = "") -> Iterator[str]:
    """The paths of all settings of a model. What a mapping holds is `NAME`."""
    fields = model.model_fields if issubclass(model, BaseModel) else get_type_hints(model)
    for name, field in fields.items():
        type_ = field.annotation if issubclass(model, BaseModel) else field
        here = f"{path}{name}"
        mapping = next((each for each in parts(type_) if get_origin(each) is dict), None)
        inner = next((each for each in parts(type_) if is_options(each)), None)
        if mapping is not None:
            value = next((each for each in parts(get_args(mapping)[1]) if is_options(each)), None)
            yield from [here] if value is None else settings_in(value, f"{here}.NAME.")
        elif inner is not None:
            yield from settings_in(inner, f"{here}.")
        else:
            yield here


def parts(type_: Any) -> Iterator[Any]:
    """A type, and the members of a union or of an annotated type."""
    yield type_
    if get_origin(type_) not in {dict, tuple}:
        for each in get_args(type_):
            yield from parts(each)


def is_options(type_: Any) -> bool:
    """Whether a type has settings inside."""
    return isinstance(type_, type) and (issubclass(type_, BaseModel) or is_dataclass(type_))


def generic(name: str) -> str:
    """A setting's name with `NAME` for the shop's own sources and variants, and for what another row describes."""
    for group, names in (("sources", app.source_names), ("variants", app.variant_names)):
        name = re.sub(rf"^{group}\.({'|'.join(names)})\.", f"{group}.NAME.", name)
    name = re.sub(rf"^({'|'.join(app.source_names)})_service_url$", "name_service_url", name)
    described = r"consumers\.NAME\.rate|tiers\.NAME|sources\.NAME\.rate|auth\.issuers\.NAME\.claims"
    return re.sub(rf"^({described}|variants\.NAME\.rate_of_\w+)\..*", r"\1", name)


def test_the_table_has_every_setting_and_no_other() -> None:
    """A setting that is added, renamed or removed changes the page too."""
    exist = {generic(name) for name in settings_in(settings_class(app))}
    assert documented(PAGE.read_text(encoding="utf-8")) == exist


def test_the_table_of_routes_has_every_setting_and_no_other() -> None:
    """The same for what a `[[routes]]` may have."""
    exist = {f"routes.{name}" for name in RouteSettings.model_fields}
    assert documented(ROUTES_PAGE.read_text(encoding="utf-8")) == exist


def test_the_policy_of_a_route_is_described_whole() -> None:
    """The names of its options are listed in its row."""
    (row,) = [each for each in ROUTES_PAGE.read_text(encoding="utf-8").splitlines() if each.startswith("| `routes.policy`")]
    assert set(re.findall(r"`(\w+)`", row.partition("these names:")[2])) == set(ServiceSettings.model_fields)
