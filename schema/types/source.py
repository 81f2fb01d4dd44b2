"""The state of the gateway's data sources, without hosts and URLs."""

import strawberry

from bff import BreakerState, InstanceState, enum, field
from schema.variants import ADMIN

enum(
    description="IN: gets calls. EJECTED: gets none for a while, after faults. UNHEALTHY: none until a health check passes."
)(InstanceState)
enum(description="CLOSED: calls pass. OPEN: no call passes. HALF_OPEN: a few pass as a test.")(BreakerState)


@strawberry.type(description="One instance of a service, numbered by its position in the settings.")
class SourceInstance:
    """Resolved from `bff.upstream.traffic.stack.InstanceStatus`."""

    number: int = field(ADMIN)
    healthy: bool = field(ADMIN, description="Whether it is IN and its last call was no fault of the instance.")
    weight: int = field(ADMIN, description="Its share of the calls.")
    state: InstanceState = field(ADMIN)


@strawberry.type(description="A REST service behind the graph.")
class Source:
    """Resolved from `bff.upstream.traffic.stack.SourceStatus`."""

    name: str = field(ADMIN)
    breaker: BreakerState = field(ADMIN)
    forced: bool = field(ADMIN, description="Whether an administrator holds the breaker open or closed.")
    instances: list[SourceInstance] = field(ADMIN)
