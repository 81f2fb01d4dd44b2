"""Attacks, outages and restarts, one file a subject, most over real sockets. Each test has found a fault."""

from tests.support.source_fixtures import (  # noqa: F401
    caller,
    clock,
    heard,
    make_source,
    orders,
    played_wire,
    service,
)
