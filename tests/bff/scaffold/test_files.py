"""What is written into a folder, and what never is. That it works: tests/scenarios/test_new.py."""

from pathlib import Path

import pytest

from bff.scaffold import application, files
from bff.scaffold.application import new_app
from bff.scaffold.names import ScaffoldError
from bff.scaffold.source import new_source
from bff.scaffold.variant import new_variant


@pytest.fixture(autouse=True)
def _no_sdl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDL is exported by a process of its own, which takes a while: the scenarios have it."""
    for module in (application, files):
        monkeypatch.setattr(module, "export_sdl", lambda _: None)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The folder of a new application."""
    new_app(tmp_path, "shop2")
    return tmp_path / "shop2"


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file and what is in it."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_an_empty_folder_may_be_there_already(tmp_path: Path) -> None:
    """As `git init` and a file browser make it."""
    (tmp_path / "shop2").mkdir()
    assert "schema/app.py" in new_app(tmp_path, "shop2").created


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    """A hidden file is enough; so is a file in place of the folder. Nothing is written."""
    (tmp_path / "shop2").mkdir()
    (tmp_path / "shop2" / ".env").write_text("SECRET=1")
    (tmp_path / "shop3").write_text("a file")
    before = snapshot(tmp_path)
    for name in ("shop2", "shop3"):
        with pytest.raises(ScaffoldError, match="not taken"):
            new_app(tmp_path, name)
    assert snapshot(tmp_path) == before


def test_no_placeholder_is_left(app: Path) -> None:
    """The name is filled in; a `$` is one of GraphQL's variables."""
    new_source(app, "invoices", id_type="uuid")
    for file, text in snapshot(app).items():
        assert b"$name" not in text, file
        assert b"$source" not in text, file
        assert not file.endswith(".tmpl")
    assert 'name = "shop2"' in (app / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["invoices", "/invoices/", "/in voices", "/in?x=1", "/a#b", '/"', "/{id}", "/ü", "/a'b"])
def test_a_path_that_is_none_is_refused(app: Path, path: str) -> None:
    """It goes into Python and into a URL. Nothing is written."""
    before = snapshot(app)
    with pytest.raises(ScaffoldError, match="--path"):
        new_source(app, "invoices", path=path)
    assert snapshot(app) == before


@pytest.mark.parametrize("role", ["", 'a"', "a\\", "a\nb"])
def test_a_role_that_is_none_is_refused(app: Path, role: str) -> None:
    """It goes into Python."""
    with pytest.raises(ScaffoldError, match="--role"):
        new_variant(app, "ops", role=role)


def test_there_must_be_an_application(tmp_path: Path) -> None:
    """Neither a source nor a variant is added to any other folder."""
    for add in (new_source, new_variant):
        with pytest.raises(ScaffoldError, match=r"schema/app\.py"):
            add(tmp_path, "invoices")
    assert snapshot(tmp_path) == {}


def test_nothing_is_overwritten(app: Path) -> None:
    """One file that is there already stops it before the first is written."""
    (app / "tests" / "test_invoices.py").write_text("mine")
    before = snapshot(app)
    with pytest.raises(ScaffoldError, match=r"tests/test_invoices\.py"):
        new_source(app, "invoices")
    assert snapshot(app) == before


def test_a_source_twice_is_refused(app: Path) -> None:
    """So is one whose field is there already."""
    new_source(app, "invoices")
    before = snapshot(app)
    with pytest.raises(ScaffoldError, match="has a field invoice already"):
        new_source(app, "invoices")
    with pytest.raises(ScaffoldError, match="has a field task already"):
        new_source(app, "todos", record="Task")
    assert snapshot(app) == before


def test_a_variant_twice_is_refused(app: Path) -> None:
    """Its constant is there already."""
    with pytest.raises(ScaffoldError, match="WEB"):
        new_variant(app, "web")


def test_a_file_of_another_shape_is_left_as_it_is(app: Path) -> None:
    """The lines to add by hand are given; what can be inserted elsewhere is."""
    (app / "schema" / "app.py").write_text("app = make_app()\n")
    written = new_source(app, "invoices")
    (by_hand,) = written.by_hand
    assert by_hand.file == "schema/app.py"
    assert by_hand.lines == ("from datasources.invoices import Invoices", "sources=(…, Invoices)")
    assert (app / "schema" / "app.py").read_text() == "app = make_app()\n"
    assert written.edited == ("schema/query.py", "datasources/demo/__init__.py")


def test_a_missing_file_is_among_the_lines_to_add_by_hand(app: Path) -> None:
    """An application without demo services has none to edit."""
    (app / "datasources" / "demo" / "__init__.py").unlink()
    assert [each.file for each in new_source(app, "invoices").by_hand] == ["datasources/demo/__init__.py"]


def test_a_file_is_edited_as_a_whole_or_not_at_all(app: Path) -> None:
    """An import without its field would be left over."""
    query = app / "schema" / "query.py"
    query.write_text(query.read_text(encoding="utf-8").replace("class Query", "class Root"), encoding="utf-8")
    before = query.read_bytes()
    (by_hand,) = new_source(app, "invoices").by_hand
    assert by_hand.expected == "class Query"
    assert query.read_bytes() == before


def test_demo_services_of_another_shape_get_none(app: Path) -> None:
    """The source is written all the same; its demo service and the test in front of it are left to a person."""
    (app / "datasources" / "demo" / "rest.py").write_text("class Service: ...\n")
    written = new_source(app, "invoices")
    assert written.created == ("datasources/invoices.py", "schema/types/invoice.py")
    assert written.edited == ("schema/app.py", "schema/query.py")
    (by_hand,) = written.by_hand
    assert by_hand.file == "datasources/demo/__init__.py"
    assert "INVOICES_SERVICE_URL" in by_hand.lines[0]


def test_a_test_is_for_an_application_whose_tests_have_the_fixture(app: Path) -> None:
    """Without the fixture `app` it could not run."""
    (app / "tests" / "conftest.py").unlink()
    assert "tests/test_invoices.py" not in new_source(app, "invoices").created


def test_the_sdl_is_exported_unless_lines_of_the_graph_are_missing(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo service has no part in it."""
    exported: list[Path] = []
    monkeypatch.setattr(files, "export_sdl", exported.append)
    (app / "datasources" / "demo" / "__init__.py").unlink()
    new_source(app, "invoices")
    assert exported == [app]
    (app / "schema" / "query.py").write_text("")
    new_source(app, "receipts")
    assert exported == [app]
