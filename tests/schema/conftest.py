"""Fixtures of the graph: see `tests.support.shop_fixtures`."""

from tests.support.shop_fixtures import shop  # noqa: F401
