"""What `bff new source --openapi` writes into an application. Whether that works: tests/scenarios/test_new_openapi.py."""

import json
from pathlib import Path

import pytest

from bff.scaffold import application, files
from bff.scaffold.application import new_app
from bff.scaffold.names import ScaffoldError
from bff.scaffold.openapi import application as known
from bff.scaffold.openapi.source import FromDocument, new_source_from
from tests.support.openapi import Document, by_offset, has_more, numbered_pages


@pytest.fixture(autouse=True)
def _without_sdl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDL is exported by a process of its own, which takes a while: the scenarios have it."""
    for module in (application, files):
        monkeypatch.setattr(module, "export_sdl", lambda _: None)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A new application's folder."""
    new_app(tmp_path, "shop2")
    return tmp_path / "shop2"


def add(app: Path, name: str, root: Document, path: str | None = None) -> FromDocument:
    """Add a source from a document."""
    file = app / "api.json"
    file.write_text(json.dumps(root), encoding="utf-8")
    return new_source_from(app, name, str(file), path=path)


def test_the_files_of_a_source(app: Path) -> None:
    """Those of `bff new source`, the form of the demo service, and once the service for all such forms."""
    done = add(app, "makers", by_offset())
    assert done.written.created == (
        "datasources/makers.py",
        "schema/types/maker.py",
        "datasources/demo/makers.py",
        "datasources/demo/makers.json",
        "datasources/demo/described.py",
        "tests/test_makers.py",
    )
    assert done.written.edited == ("schema/app.py", "schema/query.py", "datasources/demo/__init__.py")
    assert "datasources/demo/described.py" not in add(app, "parts", by_offset()).written.created


def test_a_connection_without_a_total(app: Path) -> None:
    """Is an `UncountedConnection`."""
    add(app, "charges", has_more())
    query = (app / "schema/query.py").read_text(encoding="utf-8")
    assert "charges: UncountedConnection[Charge] | None = connection(" in query
    assert "charge: Charge | None = lookup(*EVERYONE, read=Charges.by_id, access=Access())" in query


def test_links_in_both_directions(app: Path) -> None:
    """The new type shows its owner, the owner's type the list; the modules don't import each other in a circle."""
    add(app, "makers", by_offset())
    done = add(app, "parts", by_offset())
    assert "schema/types/maker.py" in done.written.edited
    maker, part = ((app / f"schema/types/{name}.py").read_text(encoding="utf-8") for name in ("maker", "part"))
    assert "    parts: list[Part] | None = many(*EVERYONE, read=Parts.of_maker)\n" in maker
    assert '    maker: LazyMaker | None = one(*EVERYONE, read=Makers.by_id, key="maker_id")\n' in part
    assert "    maker_id: strawberry.Private[UUID]\n" in part
    assert "def test_parts_of_one_maker(" in (app / "tests/test_parts.py").read_text(encoding="utf-8")


def test_a_field_of_the_owner_that_is_there_already(app: Path) -> None:
    """Stays as it is, and a note says so."""
    add(app, "makers", by_offset())
    file = app / "schema/types/maker.py"
    file.write_text(file.read_text(encoding="utf-8") + "    parts: int = field(*EVERYONE)\n", encoding="utf-8")
    done = add(app, "parts", by_offset())
    assert "schema/types/maker.py" not in done.written.edited
    assert "Maker in schema/types/maker.py has a field parts already: no list is written there" in done.notes


def test_no_identity_is_forwarded_to_a_service_that_wants_the_gateway_s(app: Path) -> None:
    """As its credentials say."""
    add(app, "droplets", numbered_pages())
    text = (app / "datasources/droplets.py").read_text(encoding="utf-8")
    assert "class Droplets(Source[Droplet], forward_identity=False):" in text


def test_nothing_is_written_twice(app: Path) -> None:
    """Nor half: what is there stays."""
    add(app, "makers", by_offset())
    before = {file: file.read_bytes() for file in app.rglob("*.py")}
    with pytest.raises(ScaffoldError, match="already"):
        add(app, "makers", by_offset())
    assert {file: file.read_bytes() for file in app.rglob("*.py")} == before


def test_a_refused_document_writes_nothing(app: Path) -> None:
    """All is worked out before the first file."""
    before = sorted(app.rglob("*"))
    with pytest.raises(ScaffoldError, match="no GET /orders"):
        add(app, "orders", by_offset())
    assert sorted(app.rglob("*")) == sorted([*before, app / "api.json"])


def test_an_application_s_sources_are_read_without_running_it(app: Path) -> None:
    """By their classes; what is not Python counts as missing."""
    (app / "datasources/broken.py").write_text("class (", encoding="utf-8")
    (app / "datasources/old.py").write_text(
        "class Thing(Record):\n    id: str\n\n\nclass Things(Api):\n    record = Thing\n    all = ById()\n", encoding="utf-8"
    )
    found = known.read(app)
    assert found.known == {
        "task": known.Known("datasources.tasks", "Tasks", "Task", "int", "by_id", "schema.types.task"),
        "thing": known.Known("datasources.old", "Things", "Thing", "str", "all", ""),
    }
    assert {"Task", "Tasks", "TaskStatus", "Thing", "Things"} <= found.classes
    assert known.read(app / "nowhere").known == {}
