"""What the steps of the pipeline work with: bound once, at start-up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bff.gate.auth import Authenticator
from bff.gate.consumers import Consumers
from bff.gate.counts import Counts
from bff.gate.rate import RateOptions
from bff.graph.controls import Controls
from bff.graph.rules import RecordRule
from bff.graph.sources import Sources
from bff.observe.metrics import Metrics
from bff.upstream.records import Record


@dataclass(frozen=True, slots=True)
class Services:
    """The gateway's parts that all variants share.

    Attributes:
        counts: of rate limits and quotas; None if these are off.
        rules: by record, who may see which of them.
        controls: what an administrator can do to the running gateway.
        source_rates: by source, how often a client may use it.
        tiers: the limits of users whose tokens name a tier.
        returns_headers: whether some source's headers are sent to the client.
        is_draining: whether new requests are refused because the process is stopping.
    """

    authenticator: Authenticator
    consumers: Consumers
    counts: Counts | None
    sources: Sources
    rules: Mapping[type[Record], RecordRule]
    metrics: Metrics
    controls: Controls
    is_draining: Callable[[], bool]
    returns_headers: bool = False
    source_rates: Mapping[str, RateOptions] = field(default_factory=dict)
    tiers: Mapping[str, RateOptions] = field(default_factory=dict)
