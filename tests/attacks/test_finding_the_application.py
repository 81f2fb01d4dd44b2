"""Names of applications, and modules that fail: the message says what is wrong, and the working folder's module is found."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.app import AppError, find_app

APP = """
import strawberry
from bff.app import App
from bff.graph.variants import Variant
from bff.upstream.records import Record
from bff.upstream.source import Source

class Thing(Record, frozen=True):
    id: int

class Things(Source[Thing]):
    path = "/things"

@strawberry.type
class Query:
    one: int = 1

app = App(query=Query, sources=(Things,), variants=(Variant("%s"),))
"""


@pytest.fixture(autouse=True)
def imports() -> Iterator[None]:
    """Modules and places of a test are forgotten."""
    places = list(sys.path)
    yield
    sys.path[:] = places
    for name in [name for name in sys.modules if name.endswith("_application")]:
        del sys.modules[name]


@pytest.mark.parametrize("text", ["import os\nos.nothing_of_that_name\napp = 1\n", "app = 1\napp.nothing_of_that_name\n"])
def test_a_module_that_fails_shows_its_own_error(tmp_path: Path, text: str) -> None:
    """A missing attribute inside of it is not a missing application."""
    (tmp_path / "broken_application.py").write_text(text, encoding="utf-8")
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        find_app("broken_application:app", tmp_path)


def test_a_module_without_the_name(tmp_path: Path) -> None:
    """Its message names both."""
    (tmp_path / "empty_application.py").write_text("", encoding="utf-8")
    with pytest.raises(AppError, match="empty_application has no app"):
        find_app("empty_application:app", tmp_path)


@pytest.mark.parametrize(
    "name", [".schema:app", "..schema:app", "a..b:app", "a b:app", "a/b:app", "a\0b:app", "a.:app", "a:b.c"]
)
def test_what_is_no_name_of_a_module(tmp_path: Path, name: str) -> None:
    """Relative names have nothing to be relative to."""
    with pytest.raises(AppError, match="expected module:name"):
        find_app(name, tmp_path)


def test_the_working_folder_comes_first(tmp_path: Path) -> None:
    """Also if it is searched already, after a folder that has a package of the same name: a distribution, for example."""
    for name in ("mine", "others"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clashing_application.py").write_text(APP % name, encoding="utf-8")
    sys.path[:0] = [str(tmp_path / "others"), str(tmp_path / "mine")]
    assert find_app("clashing_application:app", tmp_path / "mine").variant_names == ("mine",)
