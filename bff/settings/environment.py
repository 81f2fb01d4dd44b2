"""Settings in environment variables: `BFF_` and the path joined by `__`, or a name without prefix."""

from collections.abc import Mapping, Sequence
from typing import Any

from bff.settings.model import SERVICE_URL
from bff.settings.values import SettingsError

_PREFIX = "BFF_"
FILE_VARIABLE = "BFF_CONFIG"
APP_VARIABLE = "BFF_APP"
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


def from_environment(environment: Mapping[str, str], sources: Sequence[str]) -> dict[str, Any]:
    """The settings in these variables. `sources` are the names of the application's sources. Empty variables are ignored."""
    found: dict[str, Any] = {}
    for name in sorted(environment):
        value = environment[name]
        if not value or name == FILE_VARIABLE:
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


def variable_of(path: Sequence[str], sources: Sequence[str]) -> str:
    """The name of a setting's variable."""
    variable = "__".join(path).upper()
    return variable if _is_plain(variable, sources) else _PREFIX + variable


def _is_plain(name: str, sources: Sequence[str]) -> bool:
    return name in _PLAIN_NAMES or (name.endswith(SERVICE_URL) and name.removesuffix(SERVICE_URL).lower() in sources)
