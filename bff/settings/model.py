"""The settings of the gateway as a whole. The application determines the names and defaults of sources and variants."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

from bff.app import DEFAULT_APP, App
from bff.gate.rate import RateOptions
from bff.observe.logs import LogFormat, LogLevel
from bff.request.compression import CompressionOptions
from bff.server.connection import ConnectionOptions
from bff.server.server import DrainOptions
from bff.server.supervisor import SupervisorOptions
from bff.settings.clients import AuthSettings, ConsumerSettings, IssuerSettings, RateSwitch, RedisSettings
from bff.settings.edge import (
    CorsSettings,
    LogSettings,
    ManagementSettings,
    ProxySettings,
    ReloadSettings,
    RequestSettings,
    TlsSettings,
)
from bff.settings.routes import RouteSettings
from bff.settings.sources import SourceSettings
from bff.settings.values import AS_LIST, AS_TABLES, HttpUrl, Name, Options, ServiceUrl, SettingsError, lower
from bff.settings.variants import VariantSettings
from bff.upstream.traffic.balance import InstanceOptions

SERVICE_URL = "_SERVICE_URL"
"""How the environment variable with the URL of a source's service ends."""


class Settings(BaseSettings):
    """The settings of any application. `settings_class` adds those of its sources and variants. Immutable."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    app: str = DEFAULT_APP
    host: str | None = None
    port: int = Field(default=8000, ge=0, le=65_535)
    workers: int = Field(default=1, ge=1, le=256)
    log_level: Annotated[LogLevel, BeforeValidator(lower)] = "info"
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
    compression: CompressionOptions = CompressionOptions()
    tls: TlsSettings = TlsSettings()
    management: ManagementSettings = ManagementSettings()
    auth: AuthSettings = AuthSettings()
    consumers: dict[Name, ConsumerSettings] = Field(default={}, max_length=10_000)
    tiers: dict[Name, RateOptions] = Field(default={}, max_length=100)
    proxies: ProxySettings = ProxySettings()
    drain: DrainOptions = DrainOptions()
    supervisor: SupervisorOptions = SupervisorOptions()
    reload: ReloadSettings = ReloadSettings()
    log: LogSettings = LogSettings()
    routes: Annotated[tuple[RouteSettings, ...], AS_TABLES, Field(max_length=1000)] = ()
    _file: Path | None = None

    @property
    def file(self) -> Path | None:
        """The settings file that was read; None if there is none."""
        return self._file

    def remember_file(self, path: Path | None) -> None:
        """Set the file that the settings were read from. Only `load` calls it."""
        self._file = path

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

    def routed_services(self) -> dict[str, RouteSettings]:
        """The routes that bring a service of their own, by its name."""
        return {each.name: each for each in self.routes if each.name is not None and each.url is not None}

    def with_instances(self, places: Mapping[str, tuple[InstanceOptions, ...]]) -> "Settings":
        """A copy of the settings with other instances for the sources in `places`."""
        return self.model_copy(update={url_name(name): instances for name, instances in places.items()})


def url_name(source: str) -> str:
    """The name of the setting with the URL of a source's service."""
    return f"{source}{SERVICE_URL.lower()}"


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
    names: Any = Annotated[tuple[variant_name, ...], AS_LIST, Field(min_length=1)]
    issuer = create_model("IssuerSettings", __base__=IssuerSettings, variants=(names | None, None))
    issuers: Any = (mapping[Name, issuer], Field(default={}, max_length=50))
    auth = create_model("AuthSettings", __base__=AuthSettings, issuers=issuers)
    variant_names: Any = (Annotated[tuple[variant_name, ...], AS_LIST], ())
    management = create_model("ManagementSettings", __base__=ManagementSettings, variants=variant_names)
    consumer = create_model("ConsumerSettings", __base__=ConsumerSettings, variants=(names, ...))
    consumers: Any = (mapping[Name, consumer], Field(default={}, max_length=10_000))
    sources: Any = {name: (SourceSettings, SourceSettings()) for name in app.source_names}
    variants: Any = {name: (VariantSettings, VariantSettings()) for name in app.variant_names}
    sources_model = create_model("SourcesSettings", __base__=Options, **sources)
    variants_model = create_model("VariantsSettings", __base__=Options, **variants)
    urls: Any = {url_name(name): (ServiceUrl | None, None) for name in app.source_names}
    return create_model(
        "AppSettings",
        __base__=Settings,
        sources=(sources_model, sources_model()),
        variants=(variants_model, variants_model()),
        auth=(auth, auth()),
        consumers=consumers,
        management=(management, management()),
        **urls,
    )


def defaults_of(app: App) -> dict[str, Any]:
    """The defaults that an application's sources and variants declare."""
    return {
        "sources": {source.name: dict(source.defaults) for source in app.sources},
        "variants": {variant.name: dict(variant.defaults) for variant in app.variants},
    }
