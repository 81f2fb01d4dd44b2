"""The settings of a source: how its service is called."""

from pydantic import Field

from bff.settings.values import Options
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


class SourceSettings(Options):
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
