"""The browser that all these tests share the making of."""

from collections.abc import AsyncIterator

import pytest

from tests.support.browser import Visit, visiting


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """A visit by a browser that was never here before."""
    async with visiting() as made:
        yield made
