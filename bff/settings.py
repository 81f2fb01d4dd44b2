"""Settings from the command line, the environment, `bff.toml` and defaults, in order of precedence. Read at start-up.

Each feature defines its options; here they are combined and named. The application determines the names and defaults of the
settings of sources and variants. An unknown key or a value out of range is an error at start-up that names the setting.
Messages never contain the value of a secret.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    create_model,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from bff.app import DEFAULT_APP, App
from bff.gate.auth import ClaimOptions, Confinement
from bff.gate.consumers import is_digest
from bff.gate.documents import Mode as DocumentsMode
from bff.gate.limits import LimitOptions
from bff.gate.rate import RateOptions
from bff.gate.response_cache import ResponseCacheOptions
from bff.observe.logs import LogFormat, LogLevel
from bff.server.connection import ConnectionOptions
from bff.server.server import DrainOptions
from bff.server.supervisor import SupervisorOptions
from bff.upstream.traffic.balance import BalanceOptions, InstanceOptions
from bff.upstream.traffic.breaker import BreakerOptions
from bff.upstream.traffic.bulkhead import BulkheadOptions
from bff.upstream.traffic.cache import CacheOptions
from bff.upstream.traffic.health import HealthOptions
from bff.upstream.traffic.hedge import HedgeOptions
from bff.upstream.traffic.retry import RetryOptions
from bff.upstream.traffic.stack import TrafficOptions
from bff.upstream.wire import TlsOptions, WireOptions

DEFAULT_FILE = "bff.toml"
_MOST_INSTANCES = 100
_MOST_WEIGHT = 1000
_SPARE_CONNECTIONS = 4
_WEIGHT = re.compile(r"[0-9]{1,6}\Z")
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
_SERVICE_URL = "_SERVICE_URL"


_NO_URL = "expected http:// or https:// and a host"


class SettingsError(Exception):
    """The settings are invalid. The message has a line for each invalid setting."""


def _instances(value: Any) -> Any:
    """`http://a:1;weight=3,http://b:2` as instances. In the file it may also be a list with one instance in each item."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError("expected URLs")
    return tuple(_instance(part.strip()) for part in parts if part.strip())


def _instance(text: str) -> InstanceOptions:
    url, *parameters = (piece.strip() for piece in text.split(";"))
    parts = _parts(url)
    if "@" in parts.netloc or "?" in url or "#" in url or " " in url or not url.isprintable():
        raise ValueError("expected a base URL without user, query, fragment or blanks")
    weight = 1
    for parameter in parameters:
        name, _, number = parameter.partition("=")
        if name.strip() != "weight" or not _WEIGHT.match(number.strip()) or int(number) > _MOST_WEIGHT:
            raise ValueError(f"expected ;weight= and a number from 0 to {_MOST_WEIGHT}")
        weight = int(number)
    return InstanceOptions(url, weight)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its message would contain the URL, and so perhaps a password
        raise ValueError("expected a URL with a host and a valid port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(_NO_URL)
    return parts


def _some_weight(instances: tuple[InstanceOptions, ...]) -> tuple[InstanceOptions, ...]:
    if not any(instance.weight for instance in instances):
        raise ValueError("expected at least one instance whose weight is not 0")
    return instances


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _list(value: Any) -> Any:
    """Lists in environment variables are separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("expected an origin such as https://shop.example.com")
    return value


def _http_url(value: str) -> str:
    if "@" in _parts(value).netloc or not value.isprintable():
        raise ValueError(_NO_URL)
    return value


def _digest(value: str) -> str:
    if not is_digest(value):
        raise ValueError("expected a SHA-256 in hexadecimal digits, as `bff keys new` prints it")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Digest = Annotated[str, AfterValidator(_digest)]
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""The pattern of names that are used in logs and in environment variables."""

Name = Annotated[str, Field(pattern=NAME)]

ServiceUrl = Annotated[
    tuple[InstanceOptions, ...],
    BeforeValidator(_instances),
    Field(min_length=1, max_length=_MOST_INSTANCES),
    AfterValidator(_some_weight),
]
Origin = Annotated[str, AfterValidator(_origin)]
Names = Annotated[tuple[str, ...], BeforeValidator(_list), Field(min_length=1)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(_Options):
    """How one service is called."""

    timeout_s: float = Field(default=2.0, gt=0, le=300)
    connect_timeout_s: float = Field(default=1.0, gt=0, le=300)
    http2: bool = False
    tls: TlsOptions = TlsOptions()
    retry: RetryOptions = RetryOptions()
    hedge: HedgeOptions = HedgeOptions()
    breaker: BreakerOptions = BreakerOptions()
    bulkhead: BulkheadOptions = BulkheadOptions()
    balance: BalanceOptions = BalanceOptions()
    health: HealthOptions = HealthOptions()
    cache: CacheOptions = CacheOptions()
    forward_identity: bool = True
    max_response_bytes: int = Field(default=10 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)

    def traffic(self) -> TrafficOptions:
        """The options of the source's traffic stack."""
        return TrafficOptions(
            timeout_s=self.timeout_s,
            max_response_bytes=self.max_response_bytes,
            cache=self.cache,
            retry=self.retry,
            hedge=self.hedge,
            bulkhead=self.bulkhead,
            breaker=self.breaker,
            balance=self.balance,
            health=self.health,
        )

    def wire(self) -> WireOptions:
        """The options of the source's connections. A few are spare, so that health checks don't wait for calls."""
        return WireOptions(
            max_connections=self.bulkhead.max_concurrent + _SPARE_CONNECTIONS,
            connect_timeout_s=self.connect_timeout_s,
            http2=self.http2,
            tls=self.tls,
        )


class CorsSettings(_Options):
    """The origins of web pages that may send requests (CORS)."""

    origins: Annotated[tuple[Origin, ...], BeforeValidator(_list)] = ()


class VariantSettings(_Options):
    """One variant. If `introspection`, `graphiql` or `openapi` is not set, it is on in `bff dev` and off in `bff serve`.

    If `suggestions` is not set, it is as `introspection`. If `cors` is not set, the gateway's `cors` applies.
    """

    introspection: bool | None = None
    suggestions: bool | None = None
    graphiql: bool | None = None
    openapi: bool | None = None
    limits: LimitOptions = LimitOptions()
    rate: RateOptions = RateOptions()
    documents: DocumentsMode = "any"
    manifests: Annotated[tuple[str, ...], BeforeValidator(_list)] = ()
    answers: ResponseCacheOptions = ResponseCacheOptions()
    cors: CorsSettings | None = None


class RequestSettings(_Options):
    """Requests to variants."""

    deadline_s: float = Field(default=10.0, gt=0, le=300)


class RateSwitch(_Options):
    """The switch for all rate limits and quotas."""

    enabled: bool = True


class IssuerSettings(_Options):
    """An additional issuer of tokens, identified by their claim `iss`.

    If any of `variants`, `roles`, `scopes`, `subject_prefix` and `subject_namespace` is set, the issuer is confined: roles
    and scopes that are not listed are removed from its tokens.
    """

    issuer: str = Field(min_length=1)
    audience: str | None = None
    secret: SecretStr | None = Field(default=None, min_length=1)
    jwks_url: HttpUrl | None = None
    variants: Names | None = None
    roles: Annotated[tuple[str, ...], BeforeValidator(_list)] | None = None
    scopes: Annotated[tuple[str, ...], BeforeValidator(_list)] | None = None
    subject_prefix: str | None = Field(default=None, min_length=1, max_length=128)
    subject_namespace: str | None = Field(default=None, min_length=1, max_length=128)

    def confinement(self) -> Confinement | None:
        """The limits of its tokens; None if none is set."""
        if not self.model_fields_set & _CONFINES:
            return None
        return Confinement(
            None if self.variants is None else frozenset(self.variants),
            frozenset(self.roles or ()),
            frozenset(self.scopes or ()),
            self.subject_prefix or "",
            self.subject_namespace or "",
        )


_CONFINES = frozenset({"variants", "roles", "scopes", "subject_prefix", "subject_namespace"})


class RedisSettings(_Options):
    """Shared state in Redis. `wait_s` is the longest total time that one request waits for Redis, in seconds."""

    wait_s: float = Field(default=0.25, gt=0, le=10)


class AuthSettings(_Options):
    """The issuers of tokens, and the names of their claims."""

    issuers: dict[Name, IssuerSettings] = Field(default={}, max_length=50)
    claims: ClaimOptions = ClaimOptions()


class ConsumerSettings(_Options):
    """A consumer: a program with an API key. It may have a `rate` of its own or a `tier` of `tiers`, but not both."""

    key_sha256: Annotated[tuple[Digest, ...], BeforeValidator(_list), Field(min_length=1, max_length=10)]
    variants: Names
    scopes: Annotated[tuple[str, ...], BeforeValidator(_list)] = ()
    tier: str | None = None
    rate: RateOptions | None = None


class ProxySettings(_Options):
    """The proxies whose `X-Forwarded-For` is trusted: addresses and networks."""

    trusted: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(_list)] = ()


class Settings(BaseSettings):
    """The settings of any application. `settings_class` adds those of its sources and variants. Immutable."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    app: str = DEFAULT_APP
    host: str | None = None
    port: int = Field(default=8000, ge=0, le=65_535)
    workers: int = Field(default=1, ge=1, le=256)
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = "info"
    log_format: LogFormat | None = None
    jwt_secret: SecretStr | None = Field(default=None, min_length=1)
    jwks_url: HttpUrl | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    redis_url: SecretStr | None = None
    redis: RedisSettings = RedisSettings()
    connections: ConnectionOptions = ConnectionOptions()
    request: RequestSettings = RequestSettings()
    rate: RateSwitch = RateSwitch()
    cors: CorsSettings = CorsSettings()
    auth: AuthSettings = AuthSettings()
    consumers: dict[Name, ConsumerSettings] = Field(default={}, max_length=10_000)
    tiers: dict[Name, RateOptions] = Field(default={}, max_length=100)
    proxies: ProxySettings = ProxySettings()
    drain: DrainOptions = DrainOptions()
    supervisor: SupervisorOptions = SupervisorOptions()

    def instances(self, source: str) -> tuple[InstanceOptions, ...] | None:
        """The instances of a source's service; None if its URL is not set."""
        found: tuple[InstanceOptions, ...] | None = getattr(self, url_name(source))
        return found

    def source(self, name: str) -> SourceSettings:
        """The settings of a source: `sources.NAME`."""
        found: SourceSettings = getattr(self.sources, name)  # type: ignore[attr-defined] # see `settings_class`
        return found

    def variant(self, name: str) -> VariantSettings:
        """The settings of a variant: `variants.NAME`."""
        found: VariantSettings = getattr(self.variants, name)  # type: ignore[attr-defined] # see `settings_class`
        return found

    def with_instances(self, places: Mapping[str, tuple[InstanceOptions, ...]]) -> "Settings":
        """A copy of the settings with other instances for the sources in `places`."""
        return self.model_copy(update={url_name(name): instances for name, instances in places.items()})


def url_name(source: str) -> str:
    """The name of the setting with the URL of a source's service."""
    return f"{source}{_SERVICE_URL.lower()}"


@lru_cache(maxsize=16)
def settings_class(app: App) -> type[Settings]:
    """The settings of an application: `sources.NAME`, `NAME_service_url`, `variants.NAME` as it has them.

    Raises `SettingsError` for a source or variant with a name that a Pydantic model has itself, as `json`.
    """
    for what, taken in (("source", app.source_names), ("variant", app.variant_names)):
        if unusable := [name for name in taken if hasattr(BaseModel, name)]:
            raise SettingsError(f"{what} {', '.join(unusable)}: settings can't have this name, choose another")
    literal: Any = Literal
    mapping: Any = dict
    variant_name: Any = literal[app.variant_names]
    names: Any = Annotated[tuple[variant_name, ...], BeforeValidator(_list), Field(min_length=1)]
    issuer = create_model("IssuerSettings", __base__=IssuerSettings, variants=(names | None, None))
    issuers: Any = (mapping[Name, issuer], Field(default={}, max_length=50))
    auth = create_model("AuthSettings", __base__=AuthSettings, issuers=issuers)
    consumer = create_model("ConsumerSettings", __base__=ConsumerSettings, variants=(names, ...))
    consumers: Any = (mapping[Name, consumer], Field(default={}, max_length=10_000))
    sources: Any = {name: (SourceSettings, SourceSettings()) for name in app.source_names}
    variants: Any = {name: (VariantSettings, VariantSettings()) for name in app.variant_names}
    sources_model = create_model("SourcesSettings", __base__=_Options, **sources)
    variants_model = create_model("VariantsSettings", __base__=_Options, **variants)
    urls: Any = {url_name(name): (ServiceUrl | None, None) for name in app.source_names}
    return create_model(
        "AppSettings",
        __base__=Settings,
        sources=(sources_model, sources_model()),
        variants=(variants_model, variants_model()),
        auth=(auth, auth()),
        consumers=consumers,
        **urls,
    )


def defaults_of(app: App) -> dict[str, Any]:
    """The defaults that an application's sources and variants declare."""
    return {
        "sources": {source.name: dict(source.defaults) for source in app.sources},
        "variants": {variant.name: dict(variant.defaults) for variant in app.variants},
    }


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
    return name in _PLAIN_NAMES or (name.endswith(_SERVICE_URL) and name.removesuffix(_SERVICE_URL).lower() in sources)


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
