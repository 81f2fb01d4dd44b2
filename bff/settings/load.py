"""Reads the settings from the command line, the environment, `bff.toml` and defaults, in order of precedence."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, TomlConfigSettingsSource

from bff.app import DEFAULT_APP, App
from bff.settings.model import SERVICE_URL, Settings, defaults_of, settings_class
from bff.settings.values import SettingsError

DEFAULT_FILE = "bff.toml"
_PREFIX = "BFF_"
_FILE_VARIABLE = "BFF_CONFIG"
_APP_VARIABLE = "BFF_APP"
_PLAIN_NAMES = frozenset(
    {
        "HOST",
        "PORT",
        "WORKERS",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "JWT_SECRET",
        "JWKS_URL",
        "JWT_ISSUER",
        "JWT_AUDIENCE",
        "REDIS_URL",
    }
)
"""Settings whose environment variables have no prefix. Those of the services' URLs have none either."""


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


def _from_environment(environment: Mapping[str, str], sources: Sequence[str]) -> dict[str, Any]:
    """Settings in environment variables: `BFF_` and the path joined by `__`, or a name without prefix (`_PLAIN_NAMES`).

    Empty variables are ignored.
    """
    found: dict[str, Any] = {}
    for name in sorted(environment):
        value = environment[name]
        if not value or name == _FILE_VARIABLE:
            continue
        if _is_plain(name, sources):
            found.setdefault(name.lower(), value)
        elif name.startswith(_PREFIX):
            *path, last = name.removeprefix(_PREFIX).lower().split("__")
            inner = found
            for part in path:
                inner = inner.setdefault(part, {})
                if not isinstance(inner, dict):
                    raise SettingsError(f"{name}: {part} is also set as a single value")
            inner[last] = value
    return found


def _is_plain(name: str, sources: Sequence[str]) -> bool:
    return name in _PLAIN_NAMES or (name.endswith(SERVICE_URL) and name.removesuffix(SERVICE_URL).lower() in sources)


def file_of(environment: Mapping[str, str], file: Path | None = None) -> Path | None:
    """The settings file named on the command line or in the environment, if any. Raises `SettingsError` if it is missing."""
    path = file or (Path(environment[_FILE_VARIABLE]) if environment.get(_FILE_VARIABLE) else None)
    if path is not None and not path.is_file():
        raise SettingsError(f"{path}: there is no such file")
    return path


def app_named(environment: Mapping[str, str], *, file: Path | None = None, given: str | None = None) -> str:
    """The application's `module:name`: from the command line, the environment, the file, or the default.

    Raises `SettingsError`.
    """
    if given or environment.get(_APP_VARIABLE):
        return given or environment[_APP_VARIABLE]
    path = file_of(environment, file) or Path(DEFAULT_FILE)
    if not path.is_file():
        return DEFAULT_APP
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8")).get("app", DEFAULT_APP)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path}: {error}") from None
    if not isinstance(name, str):
        raise SettingsError(f"app ({_APP_VARIABLE}): expected module:name")
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
    path = file_of(environment, file)
    in_environment = _from_environment(environment, app.source_names)

    class FromAllPlaces(settings_class(app)):  # type: ignore[misc] # a class made at run time
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            in_file = TomlConfigSettingsSource(settings_cls, toml_file=path or default_file)
            places = (_Constant(settings_cls, in_environment), in_file, _Constant(settings_cls, defaults_of(app)))
            return init_settings, *places

    try:
        settings: Settings = FromAllPlaces(
            **{name: value for name, value in (command_line or {}).items() if value is not None}
        )
    except ValidationError as error:
        lines = (_line(fault, app.source_names) for fault in error.errors(include_input=False))
        raise SettingsError("\n".join(lines)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path or DEFAULT_FILE}: {error}") from None
    return settings


def _line(fault: Any, sources: Sequence[str]) -> str:
    path = [str(part) for part in fault["loc"] if not str(part).startswith(("function-", "tuple["))]
    # A list is one variable, so indexes are not part of its name.
    name, variable = ".".join(path), "__".join(part for part in path if not part.isdigit()).upper()
    if not _is_plain(variable, sources):
        variable = _PREFIX + variable
    message = "unknown setting" if fault["type"] in {"extra_forbidden", "unexpected_keyword_argument"} else fault["msg"]
    return f"{name} ({variable}): {message}"
