"""The state of the gateway's data sources, without hosts and URLs."""

import strawberry

from bff import BreakerState, InstanceState, enum, field
from schema.variants import ADMIN

enum(
    description=(
        "IN: it gets calls. EJECTED: it gets none for a while, after failures in a row. "
        "UNHEALTHY: it gets none until a health check passes."
    )
)(InstanceState)
enum(description="CLOSED: calls pass. OPEN: calls are refused. HALF_OPEN: a few trial calls pass.")(BreakerState)


@strawberry.type(description="An instance of a service.")
class SourceInstance:
    """Resolved from `bff.upstream.traffic.stack.InstanceStatus`."""

    number: int = field(ADMIN)
    healthy: bool = field(ADMIN, description="Whether it gets calls and its last call didn't fail.")
    weight: int = field(ADMIN, description="Its relative share of the calls.")
    state: InstanceState = field(ADMIN)


@strawberry.type(description="A REST service behind the graph.")
class Source:
    """Resolved from `bff.upstream.traffic.stack.SourceStatus`."""

    name: str = field(ADMIN)
    breaker: BreakerState = field(ADMIN)
    forced: bool = field(ADMIN, description="Whether an administrator has forced the breaker's state.")
    instances: list[SourceInstance] = field(ADMIN)
