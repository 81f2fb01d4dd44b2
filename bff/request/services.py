"""What the steps of the pipeline work with: bound once, at start-up."""

from collections.abc import Callable
from dataclasses import dataclass

from bff.gate.auth import Authenticator
from bff.gate.consumers import Consumers
from bff.gate.rate import Counts
from bff.graph.controls import Controls
from bff.observe.metrics import Metrics
from schema.sources import Sources


@dataclass(frozen=True, slots=True)
class Services:
    """The gateway's parts that all variants share.

    Attributes:
        counts: of rate limits and quotas; None if these are off.
        controls: what an administrator can do to the running gateway.
        is_draining: whether new requests are refused because the process is stopping.
    """

    authenticator: Authenticator
    consumers: Consumers
    counts: Counts | None
    sources: Sources
    metrics: Metrics
    controls: Controls
    is_draining: Callable[[], bool]
