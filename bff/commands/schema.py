"""The committed SDL of each variant, and its differences from the graph."""

from pathlib import Path

from graphql import build_schema
from graphql.utilities import find_breaking_changes, find_dangerous_changes

from bff.app import App, AppError
from bff.graph.sdl import sdl


def current(app: App, variant: str) -> str:
    """The SDL of the variant in the present graph."""
    return sdl(app.schemas[variant])


def path_of(app: App, variant: str) -> Path | None:
    """The file with the committed SDL of a variant; None if the application has no folder."""
    return None if app.folder is None else app.folder / "sdl" / f"{variant}.graphql"


def write(app: App, variant: str) -> Path:
    """Write the variant's SDL. Returns the file. Raises `AppError` if the application has no folder."""
    file = path_of(app, variant)
    if file is None:
        raise AppError("the application has no folder for its SDL (App.folder)")
    file.parent.mkdir(exist_ok=True)
    file.write_text(current(app, variant), encoding="utf-8")
    return file


def committed(app: App, variant: str) -> str | None:
    """The committed SDL of the variant; None if there is none."""
    file = path_of(app, variant)
    return file.read_text(encoding="utf-8") if file is not None and file.is_file() else None


def check(app: App) -> list[str]:
    """The differences of all variants, a line each, with breaking changes first. Empty if there are none."""
    lines: list[str] = []
    for variant in app.variant_names:
        now, before = current(app, variant), committed(app, variant)
        if before is None:
            lines.append(f"{variant}: no SDL is committed")
        elif now != before:
            lines += _differences(variant, before, now)
    return lines


def _differences(variant: str, before: str, now: str) -> list[str]:
    old, new = build_schema(before), build_schema(now)
    lines = [f"{variant}: breaking: {change.description}" for change in find_breaking_changes(old, new)]
    lines += [f"{variant}: dangerous: {change.description}" for change in find_dangerous_changes(old, new)]
    return lines or [f"{variant}: differs, without a breaking change"]
