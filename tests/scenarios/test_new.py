"""`bff new` as people use it: a new application runs, passes its tests and its linters, and goes on doing so."""

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import jwt
import pytest

from bff.commands.token import DEV_SECRET
from tests.support.processes import bff

ROOT = Path(__file__).parents[2]


class Workplace:
    """A folder with nothing of this repository on Python's path but the package `bff`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.library = folder / "library"
        self.library.mkdir()
        (self.library / "bff").symlink_to(ROOT / "bff")
        self.app = folder / "shop2"

    def run(self, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """`python -m ARGUMENTS`, by default in the application's folder."""
        ours = ("BFF_", "JWT_", "PYTEST_", "COV_", "TASKS_", "INVOICES_", "PYTHON")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.app if cwd is None else cwd,
            env={**inherited, "PYTHONPATH": str(self.library), "MYPYPATH": str(self.library)},
            capture_output=True,
            text=True,
            check=False,
        )

    def test(self) -> None:
        """The application's own tests, and its committed SDL."""
        scope = "asyncio_default_fixture_loop_scope=function"  # of a plugin that an application does not have
        self.succeed("pytest", "-q", "-W", "error", "-o", scope, "-p", "no:cacheprovider")
        self.succeed("bff", "schema", "check")

    def lint(self) -> None:
        """Its linters and types."""
        self.succeed("ruff", "check", ".")
        self.succeed("ruff", "format", "--check", ".")
        self.succeed("mypy", "--cache-dir", str(self.folder / "mypy"))

    def succeed(self, *arguments: str) -> None:
        """Run a command that must exit with 0."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"

    def ask(self, questions: dict[str, str], roles: dict[str, str]) -> dict[str, object]:
        """The answers of `bff dev` by variant; `roles` has the role of the token for each."""
        environment = {"PYTHONPATH": str(self.library)}
        answers: dict[str, object] = {}
        with bff(self.app, "dev", "--port", "0", environment=environment) as dev:
            base = re.search(r"http://127\.0\.0\.1:\d+", dev.wait_for("/graphql"))
            assert base is not None
            dev.wait_until_ready(base[0])
            for variant, query in questions.items():
                claims = {"sub": "1", "exp": int(time.time()) + 3600, "roles": [roles[variant]] if variant in roles else []}
                headers = {"authorization": f"Bearer {jwt.encode(claims, DEV_SECRET)}"}
                url = f"{base[0]}/{variant}/graphql"
                answers[variant] = httpx.post(
                    url, json={"query": query}, headers=headers, trust_env=False, timeout=30
                ).json()["data"]
                page = httpx.get(url, headers={"accept": "text/html"}, trust_env=False, timeout=30)
                assert page.headers["content-type"].startswith("text/html")
        dev.output_file.unlink()
        return answers


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """An empty one."""
    return Workplace(tmp_path)


@pytest.mark.long
def test_a_new_application_lives(workplace: Workplace, record_property: Callable[[str, object], None]) -> None:
    """It answers at once on each variant; a source and variants more, and it still does."""
    began = time.monotonic()
    made = workplace.run("bff", "new", "shop2", cwd=workplace.folder)
    assert (made.returncode, made.stderr) == (0, "")
    next_ = made.stdout.partition("Next:\n\n")[2].splitlines()
    assert [line.split("#")[0].strip() for line in next_] == ["cd shop2", "bff dev", "bff new source NAME"]
    query = '{ task(id: "2") { title parent { title } } }'
    task = {"task": {"title": "Book the train", "parent": {"title": "Plan the trip"}}}
    roles = {"staff": "staff", "ops": "operator"}
    assert workplace.ask({"web": query, "staff": query}, roles) == {"web": task, "staff": task}
    record_property("seconds from nothing to the first answers", round(time.monotonic() - began, 2))
    workplace.test()

    for arguments in (
        ("source", "invoices", "--id", "uuid"),
        ("source", "staff", "--record", "StaffMember", "--id", "str", "--path", "/staff/members"),
        ("variant", "kiosk"),
        ("variant", "ops", "--role", "operator"),
    ):
        done = workplace.run("bff", "new", *arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    workplace.test()
    workplace.lint()
    more = '{ invoices(first: 1) { nodes { name } } staffMember(id: "a-3") { name } task(id: 1) { id }}'
    found = {
        "invoices": {"nodes": [{"name": "Name 1"}]},
        "staffMember": {"name": "Name 3"},
        "task": {"id": "1"},
    }
    assert workplace.ask(dict.fromkeys(("web", "staff", "kiosk", "ops"), more), roles) == dict.fromkeys(
        ("web", "staff", "kiosk", "ops"), found
    )


ASK_SHOP = """
import asyncio

from bff import Viewer
from bff.testing import Scripted, running
from schema.app import app

async def main():
    reviews = Scripted({"/reviews/r-1": {"id": "r-1", "name": "Good"}})
    query = '{ review(id: "r-1") { id name } }'
    async with running(app, {"reviews": reviews}, viewer=Viewer("1")) as gateway:
        for variant in ("web", "kiosk"):
            print((await gateway.ask(variant, query)).data)

asyncio.run(main())
"""


def test_a_source_and_a_variant_are_added_to_an_application_that_was_not_generated(workplace: Workplace) -> None:
    """To the shop: its imports, its tuples and its query have another look. Its demo services are left to a person."""
    for package in ("schema", "datasources"):
        shutil.copytree(ROOT / package, workplace.app / package, ignore=shutil.ignore_patterns("__pycache__"))
    source = workplace.run("bff", "new", "source", "reviews", "--id", "str")
    assert source.returncode == 0, source.stderr
    assert [line.split()[-1] for line in source.stdout.splitlines() if line.startswith("changed")] == [
        "schema/app.py",
        "schema/query.py",
    ]
    assert "datasources/demo/__init__.py was left as it is" in source.stderr
    workplace.succeed("bff", "new", "variant", "kiosk")
    workplace.succeed("bff", "schema", "check")
    (workplace.app / "ask.py").write_text(ASK_SHOP, encoding="utf-8")
    asked = workplace.run("ask")
    assert asked.stdout == "{'review': {'id': 'r-1', 'name': 'Good'}}\n" * 2, asked.stderr


def test_its_dependencies_can_be_installed(workplace: Workplace) -> None:
    """`pyproject.toml` is one that its build backend accepts; the wheel holds no module, and needs bff."""
    workplace.run("bff", "new", "shop2", cwd=workplace.folder)
    done = workplace.run("hatchling", "build", "-t", "wheel")
    assert done.returncode == 0, done.stderr
    (wheel,) = (workplace.app / "dist").glob("*.whl")
    listed = workplace.run("zipfile", "-l", str(wheel)).stdout
    assert "schema/" not in listed
    assert "METADATA" in listed


def test_the_wheel_holds_the_templates(tmp_path: Path) -> None:
    """All of them, hidden files too: `bff new` works where only the wheel is installed."""
    for name in ("bff", "pyproject.toml", "README.md", "LICENSE", "schema", "datasources"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    templates = {str(file.relative_to(ROOT)) for file in (ROOT / "bff" / "scaffold" / "templates").rglob("*.tmpl")}
    assert "bff/scaffold/templates/app/.gitignore.tmpl" in templates
    assert templates <= set(zipfile.ZipFile(wheel).namelist())
