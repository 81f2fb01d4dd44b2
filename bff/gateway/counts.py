"""Wires the counts of rates and quotas, in memory or in Redis."""

from typing import TYPE_CHECKING

from bff.gate.counts import Counts, InMemory
from bff.observe.metrics import Metrics
from bff.runtime.clock import Clock
from bff.settings import Settings, SettingsError

if TYPE_CHECKING:
    from bff.gate.shared import Shared


def shared_of(settings: Settings, metrics: Metrics) -> "Shared | None":
    """The state in Redis; None without Redis. Raises `SettingsError`."""
    if settings.redis_url is None:
        return None
    from bff.gate.shared import Shared  # noqa: PLC0415 - the client takes 10 MiB, so it is loaded only if it is used

    try:
        return Shared(settings.redis_url.get_secret_value(), metrics.shared_state, wait_s=settings.redis.wait_s)
    except ValueError:  # its message may contain a password
        raise SettingsError("redis_url (REDIS_URL): expected redis://, rediss:// or unix://") from None


def counts_of(settings: Settings, shared: "Shared | None", clock: Clock) -> Counts | None:
    """The counts of rates and quotas; None if these are off."""
    if not settings.rate.enabled:
        return None
    own = InMemory(clock)
    if shared is None:
        return own
    from bff.gate.shared import SharedCounts  # noqa: PLC0415 - see `_shared`

    return SharedCounts(shared, own)
