"""Fixtures of sources: see `tests.support.source_fixtures`."""

from tests.support.source_fixtures import (  # noqa: F401
    caller,
    clock,
    heard,
    loop_clock,
    make_source,
    orders,
    played_wire,
    products,
    service,
    users,
)
