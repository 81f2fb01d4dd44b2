"""The fixture of a shop of a few objects."""

import pytest

from tests.support.shop import Shop


@pytest.fixture
def shop() -> Shop:
    """A shop for one test."""
    return Shop()
