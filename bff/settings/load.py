"""Reads the settings from the command line, the environment, `bff.toml` and defaults, in order of precedence."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bff.app import DEFAULT_APP, App
from bff.settings.environment import APP_VARIABLE, FILE_VARIABLE, from_environment
from bff.settings.faults import Faults
from bff.settings.model import Settings, defaults_of, settings_class
from bff.settings.paths import resolved
from bff.settings.values import SettingsError

DEFAULT_FILE = "bff.toml"


class _Constant(PydanticBaseSettingsSource):
    """Settings from a dictionary."""

    def __init__(self, settings_cls: type[BaseSettings], values: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._values = values

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Not used: `__call__` returns all fields."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        return self._values


def file_of(environment: Mapping[str, str], file: Path | None = None) -> Path | None:
    """The settings file named on the command line or in the environment, if any. Raises `SettingsError` if it is missing."""
    path = file or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    if path is not None and not path.is_file():
        raise SettingsError(f"{path}: there is no such file")
    return path


def app_named(environment: Mapping[str, str], *, file: Path | None = None, given: str | None = None) -> str:
    """The application's `module:name`: from the command line, the environment, the file, or the default.

    Raises `SettingsError`.
    """
    if given or environment.get(APP_VARIABLE):
        return given or environment[APP_VARIABLE]
    path = file_of(environment, file) or Path(DEFAULT_FILE)
    if not path.is_file():
        return DEFAULT_APP
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8")).get("app", DEFAULT_APP)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path}: {error}") from None
    if not isinstance(name, str):
        raise SettingsError(f"app ({APP_VARIABLE}): expected module:name")
    return name


def load(
    app: App,
    environment: Mapping[str, str],
    *,
    file: Path | None = None,
    command_line: Mapping[str, Any] | None = None,
    default_file: Path | None = Path(DEFAULT_FILE),
) -> Settings:
    """All settings of an application. `file` is the one named on the command line, if any. Raises `SettingsError`.

    `default_file` is read if no file is named and if it exists; None if none is.
    """
    path = file_of(environment, file) or default_file
    in_environment = from_environment(environment, app.source_names)
    in_file = _from_file(app, path)
    given = {name: value for name, value in (command_line or {}).items() if value is not None}

    class FromAllPlaces(settings_class(app)):  # type: ignore[misc] # a class made at run time
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            places = (in_environment, in_file, defaults_of(app))
            return init_settings, *(_Constant(settings_cls, each) for each in places)

    try:
        settings: Settings = FromAllPlaces(**given)
    except ValidationError as error:
        faults = Faults(settings_class(app), app.source_names, in_environment, None if path is None else path.name)
        lines = map(faults.line, error.errors(include_input=False))
        raise SettingsError("\n".join(lines)) from None
    settings.remember_file(path if in_file else None)
    return settings


def _from_file(app: App, path: Path | None) -> dict[str, Any]:
    """The settings in a file; none if it does not exist. Raises `SettingsError`."""
    if path is None or not path.is_file():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path}: {error}") from None
    return resolved(settings_class(app), values, path.parent.resolve())
