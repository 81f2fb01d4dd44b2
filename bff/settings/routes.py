"""The settings of routes: plain HTTP that is handed through to a service."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bff.gate.access import AccessMode
from bff.gate.rate import OverallRateOptions, RateOptions
from bff.routes.paths import prefix_of
from bff.settings.sources import ServiceSettings
from bff.settings.values import AS_LIST, Name, Options, ServiceUrl, read_list

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_MOST_BYTES = 1024**4


def _path(value: str) -> str:
    prefix_of(value)
    return value


def _methods(value: Any) -> Any:
    names = read_list(value)
    return tuple(each.upper() if isinstance(each, str) else each for each in names) if isinstance(names, list) else names


def _known_methods(value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [each for each in value if each not in _METHODS]:
        raise ValueError(f"expected methods of {', '.join(_METHODS)}, got {unknown[0][:20]}")
    # A server that answers GET answers HEAD (RFC 9110, section 9.1).
    return tuple(dict.fromkeys((*value, "HEAD") if "GET" in value else value))


RoutePath = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_path)]
Methods = Annotated[
    tuple[str, ...],
    BeforeValidator(_methods, json_schema_input_type=list[str] | str),
    Field(min_length=1),
    AfterValidator(_known_methods),
]


class RouteSettings(Options):
    """One route. It names a source of the application, the service of another route, or has the `url` of one itself."""

    path: RoutePath
    methods: Methods = ("GET", "HEAD")
    source: str | None = None
    url: ServiceUrl | None = None
    name: Name | None = None
    policy: ServiceSettings = ServiceSettings()
    rewrite: RoutePath | None = None
    access: AccessMode | None = None
    role: str | None = Field(default=None, min_length=1)
    scopes: Annotated[tuple[str, ...], AS_LIST] = ()
    consumers: Annotated[tuple[str, ...], AS_LIST, Field(min_length=1)] | None = None
    rate: RateOptions = RateOptions()
    rate_of_address: OverallRateOptions | None = None
    rate_of_all: OverallRateOptions | None = None
    timeout_s: float = Field(default=10.0, gt=0, le=3600)
    idle_timeout_s: float = Field(default=30.0, gt=0, le=3600)
    deadline_s: float = Field(default=3600.0, gt=0, le=86_400)
    max_request_bytes: int = Field(default=10 * 1024 * 1024, ge=0, le=_MOST_BYTES)
    max_response_bytes: int | None = Field(default=None, ge=1, le=_MOST_BYTES)
    forward_identity: bool | None = None
    cookies: bool = False

    @property
    def service(self) -> str:
        """The name of the service that it uses."""
        return self.name or self.source or ""
