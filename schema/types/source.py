"""The state of the gateway's data sources, without hosts and URLs."""

import strawberry

from bff import BreakerState, InstanceState, enum, field
from schema.variants import ADMIN

enum(description="IN: it gets calls. EJECTED: none for a while, after faults. UNHEALTHY: none until its check passes.")(
    InstanceState
)
enum(description="CLOSED: calls pass. OPEN: none does. HALF_OPEN: a few are let through to see.")(BreakerState)


@strawberry.type(description="One instance of a service, by its place in the settings.")
class SourceInstance:
    """Resolved from `bff.upstream.traffic.stack.InstanceStatus`."""

    number: int = field(ADMIN)
    healthy: bool = field(ADMIN, description="Whether its last call came to an answer that speaks for it.")
    weight: int = field(ADMIN, description="Its share of the calls.")
    state: InstanceState = field(ADMIN)


@strawberry.type(description="A REST service behind the graph.")
class Source:
    """Resolved from `bff.upstream.traffic.stack.SourceStatus`."""

    name: str = field(ADMIN)
    breaker: BreakerState = field(ADMIN)
    forced: bool = field(ADMIN, description="Whether an administrator holds the breaker as it is.")
    instances: list[SourceInstance] = field(ADMIN)
