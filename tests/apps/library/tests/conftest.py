"""The fixtures of `bff.testing_plugin`, for this application."""

import pytest

from bff import App
from schema.app import app as library

pytest_plugins = ["bff.testing_plugin"]


@pytest.fixture
def app() -> App:
    """The library."""
    return library
