"""The settings of a source: how its service is called."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from bff.gate.rate import RateOptions
from bff.settings.values import AS_LIST, AS_TABLE, HttpUrl, Options
from bff.upstream.client_credentials import ClientCredentialsOptions
from bff.upstream.headers import (
    MOST_FORWARDED,
    Credentials,
    HeaderRules,
    forwarded_name,
    is_value,
    returned_name,
    static_name,
)
from bff.upstream.traffic.balance import BalanceOptions
from bff.upstream.traffic.breaker import BreakerOptions
from bff.upstream.traffic.bulkhead import BulkheadOptions
from bff.upstream.traffic.cache import CacheOptions
from bff.upstream.traffic.health import HealthOptions
from bff.upstream.traffic.hedge import HedgeOptions
from bff.upstream.traffic.retry import RetryOptions
from bff.upstream.traffic.stack import TrafficOptions
from bff.upstream.wire import TlsOptions, WireOptions

_SPARE_CONNECTIONS = 4


def _header_value(value: SecretStr) -> SecretStr:
    if not is_value(value.get_secret_value()):
        raise ValueError("expected visible ASCII characters")
    return value


StaticName = Annotated[str, AfterValidator(static_name)]
ForwardedName = Annotated[str, AfterValidator(forwarded_name)]
ReturnedName = Annotated[str, AfterValidator(returned_name)]
_StaticValue = Annotated[SecretStr, AfterValidator(_header_value), Field(max_length=8192)]
StaticHeaders = Annotated[dict[StaticName, _StaticValue], AS_TABLE]


class OAuth2Settings(Options):
    """A source's own identity by OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

    token_url: HttpUrl
    client_id: str = Field(min_length=1)
    client_secret: SecretStr = Field(min_length=1)
    scope: str | None = None
    audience: str | None = None
    auth: Literal["basic", "post"] = "basic"

    def options(self) -> ClientCredentialsOptions:
        """How the token is fetched."""
        secret = self.client_secret.get_secret_value()
        return ClientCredentialsOptions(self.token_url, self.client_id, secret, self.scope, self.audience, self.auth)


class ServiceSettings(Options):
    """How one service is called, by sources and by routes."""

    connect_timeout_s: float = Field(default=1.0, gt=0, le=300)
    http2: bool = False
    tls: TlsOptions = TlsOptions()
    retry: RetryOptions = RetryOptions()
    breaker: BreakerOptions = BreakerOptions()
    bulkhead: BulkheadOptions = BulkheadOptions()
    balance: BalanceOptions = BalanceOptions()
    health: HealthOptions = HealthOptions()
    headers: StaticHeaders = Field(default={}, max_length=20)
    oauth2: OAuth2Settings | None = None

    def header_rules(self, credentials: Credentials | None) -> HeaderRules:
        """The rules for headers. `credentials` are those that `oauth2` describes."""
        return HeaderRules(self.static_headers(), credentials=credentials)

    def static_headers(self) -> tuple[tuple[str, str], ...]:
        """The names and values of the headers that each call carries."""
        return tuple((name, value.get_secret_value()) for name, value in self.headers.items())

    def traffic(self) -> TrafficOptions:
        """The options of the service's traffic stack."""
        return TrafficOptions(
            retry=self.retry,
            bulkhead=self.bulkhead,
            breaker=self.breaker,
            balance=self.balance,
            health=self.health,
        )

    def wire(self) -> WireOptions:
        """The options of the service's connections. A few are spare, so that health checks don't wait for calls."""
        return WireOptions(
            max_connections=self.bulkhead.max_concurrent + _SPARE_CONNECTIONS,
            connect_timeout_s=self.connect_timeout_s,
            http2=self.http2,
            tls=self.tls,
        )


class SourceSettings(ServiceSettings):
    """How the service of a source is called."""

    timeout_s: float = Field(default=2.0, gt=0, le=300)
    hedge: HedgeOptions = HedgeOptions()
    cache: CacheOptions = CacheOptions()
    forward_identity: bool = True
    forward_headers: Annotated[tuple[ForwardedName, ...], AS_LIST, Field(max_length=MOST_FORWARDED)] = ()
    return_headers: Annotated[tuple[ReturnedName, ...], AS_LIST, Field(max_length=20)] = ()
    rate: RateOptions | None = None
    max_response_bytes: int = Field(default=10 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)

    def header_rules(self, credentials: Credentials | None) -> HeaderRules:
        """The rules for headers. `credentials` are those that `oauth2` describes."""
        return HeaderRules(self.static_headers(), self.forward_headers, self.return_headers, credentials)

    def traffic(self) -> TrafficOptions:
        """The options of the source's traffic stack."""
        return replace(
            super().traffic(),
            timeout_s=self.timeout_s,
            max_response_bytes=self.max_response_bytes,
            cache=self.cache,
            hedge=self.hedge,
        )
