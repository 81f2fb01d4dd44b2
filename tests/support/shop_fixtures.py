"""The shop that the graph is asked about."""

import pytest

from tests.support.shop import Shop


@pytest.fixture
def shop() -> Shop:
    """A shop of one test."""
    return Shop()
