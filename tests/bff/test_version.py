"""The version."""

import tomllib
from pathlib import Path

from bff import __version__


def test_the_package_has_the_version_that_it_says() -> None:
    """pyproject.toml and `bff.__version__` agree."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
