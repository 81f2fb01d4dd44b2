"""Programs that some tests need besides Python. If one is missing, the tests are skipped; in CI they fail."""

import os
import shutil

import pytest


def needs(*names: str) -> None:
    """Skip the running test where one of the programs isn't installed. In CI that is a failure: `.ci/run` installs them."""
    missing = [name for name in names if shutil.which(name) is None]
    if not missing:
        return
    message = f"not installed: {', '.join(missing)}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
