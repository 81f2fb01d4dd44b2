"""The library as its team would have it: the wheel of `bff` in an environment of its own, and a copy of the library."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import graphql
import pytest

from tests.support.processes import Command

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "tests" / "apps" / "library"
SECRET = "a secret that only these tests know, and long enough"
PLAIN = {"JWT_SECRET": SECRET, "PYTHONUNBUFFERED": "1", "PATH": os.environ["PATH"]}


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own, and a copy of the library."""

    wheel: Path
    python: Path
    folder: Path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS` in the library's folder until it ends."""
        command = [str(self.python), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env={**PLAIN, **environment}, capture_output=True, text=True, timeout=120, check=False
        )

    def bff(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m bff ARGUMENTS` in the library's folder until it ends."""
        return self.run("-m", "bff", *arguments, **environment)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The environment: the wheel, a stand-in for PyPI's `schema`, and the dependencies of this project."""
    place = tmp_path_factory.mktemp("library")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place / "env")], check=True)
    python = place / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site,) = (place / "env").glob("lib/python*/site-packages")
    (site / "schema").mkdir()
    (site / "schema" / "__init__.py").write_text('MARKER = "the package from PyPI"\n')
    # As a line of a .pth file: the folder alone is added, and not this project, which is installed in it as editable.
    (site / "dependencies.pth").write_text(f"{Path(graphql.__file__).parents[1]}\n")
    folder = place / "library"
    shutil.copytree(LIBRARY, folder, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
    return Installed(wheel, python, folder)


@contextmanager
def started(installed: Installed, logs: Path, *arguments: str, **environment: str) -> Iterator[Command]:
    """`python -m bff ARGUMENTS` in the library's folder, until the context ends."""
    output_file = logs / "output.txt"
    with output_file.open("wb") as output:
        process = subprocess.Popen(
            [str(installed.python), "-m", "bff", *arguments],
            cwd=installed.folder,
            env={**PLAIN, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Command(process, output_file)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
