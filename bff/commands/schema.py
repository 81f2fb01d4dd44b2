"""The committed SDL of each variant, and how the graph differs from it."""

from importlib.resources import files

from graphql import build_schema
from graphql.utilities import find_breaking_changes, find_dangerous_changes

from bff.graph.sdl import sdl
from bff.graph.variants import VARIANTS
from schema.graph import variant_schemas


def current(variant: str) -> str:
    """The SDL of the variant as the types are now."""
    return sdl(variant_schemas()[variant])


def committed(variant: str) -> str | None:
    """The SDL of the variant as it was committed; None where it never was."""
    file = files("schema").joinpath("sdl", f"{variant}.graphql")
    return file.read_text(encoding="utf-8") if file.is_file() else None


def check() -> list[str]:
    """What differs, a line each: breaking changes first, as such; an empty list where nothing does."""
    lines: list[str] = []
    schemas = variant_schemas()
    for variant in VARIANTS:
        now, before = sdl(schemas[variant.name]), committed(variant.name)
        if before is None:
            lines.append(f"{variant.name}: no SDL is committed")
        elif now != before:
            lines += _differences(variant.name, before, now)
    return lines


def _differences(variant: str, before: str, now: str) -> list[str]:
    old, new = build_schema(before), build_schema(now)
    lines = [f"{variant}: breaking: {change.description}" for change in find_breaking_changes(old, new)]
    lines += [f"{variant}: dangerous: {change.description}" for change in find_dangerous_changes(old, new)]
    return lines or [f"{variant}: differs, and breaks nobody"]
