"""`bff new`: what it prints, and its exit codes. What it writes: tests/bff/scaffold."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bff.commands.main import main
from bff.scaffold import application, files
from tests.support.openapi import by_offset


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDL is exported by a process of its own, which takes a while: the scenarios have it."""
    monkeypatch.chdir(tmp_path)
    for module in (application, files):
        monkeypatch.setattr(module, "export_sdl", lambda _: None)


def new(*arguments: str) -> Result:
    """Run `bff new`."""
    return CliRunner().invoke(main, ["new", *arguments])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("Shop",), "lower-case letters"),
        (("../shop",), "lower-case letters"),
        (("taken",), "not an empty folder"),
        (("source", "invoices"), "schema/app.py"),
        (("source", "staff"), "--record"),
        (("variant", "kiosk"), "schema/app.py"),
        (("source", "parts", "--openapi", "api.json"), "schema/app.py"),
        (("source", "parts", "--openapi", "api.json", "--id", "int"), "--id"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    """A name that can't be, a folder that is taken, no application here."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    done = new(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("bff: ")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_says_what_to_do_next() -> None:
    """In three lines, behind the files that were written."""
    done = new("shop2")
    assert done.exit_code == 0
    assert "wrote   shop2/schema/app.py\n" in done.stdout
    steps = done.stdout.partition("Next:\n\n")[2].splitlines()
    assert [step.split("#")[0].strip() for step in steps] == ["cd shop2", "bff dev", "bff new source NAME"]


def test_lines_to_add_by_hand_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file, what was expected in it, and how to export the SDL afterwards."""
    new("shop2")
    monkeypatch.chdir(tmp_path / "shop2")
    variants = Path("schema/variants.py")
    variants.write_text(variants.read_text(encoding="utf-8").replace("(WEB, STAFF)", "WEB, STAFF"), encoding="utf-8")
    done = new("variant", "kiosk")
    assert done.exit_code == 0
    assert "schema/variants.py was left as it is: expected" in done.stderr
    assert '    KIOSK = Variant("kiosk")\n    EVERYONE = (…, KIOSK)\n' in done.stderr
    assert "bff schema export --write" in done.stderr


def test_an_sdl_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files stay: what is wrong with them is a person's to find."""
    monkeypatch.setattr(application, "export_sdl", lambda _: "bff: app: no")
    done = new("shop2")
    assert done.exit_code == 0
    assert "bff: app: no" in done.stderr
    assert Path("shop2/schema/app.py").is_file()


def test_a_source_from_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the document doesn't tell is on standard error, one line each; then what to do next."""
    new("shop2")
    monkeypatch.chdir(tmp_path / "shop2")
    root = by_offset() | {"servers": [{"url": "https://api.example.com/v1"}]}
    Path("api.json").write_text(json.dumps(root), encoding="utf-8")
    done = new("source", "parts", "--openapi", "api.json")
    assert done.exit_code == 0
    assert "wrote   datasources/parts.py\n" in done.stdout
    assert "  part.supplierToken: is a secret, or is only written: left out\n" in done.stderr
    assert "PARTS_SERVICE_URL=https://api.example.com/v1 bff check" in done.stdout


@pytest.mark.parametrize("content", [None, "{", '{"openapi": "3.0.0"}'])
def test_a_document_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None) -> None:
    """Is one line, and nothing is written."""
    new("shop2")
    monkeypatch.chdir(tmp_path / "shop2")
    if content is not None:
        Path("api.json").write_text(content, encoding="utf-8")
    done = new("source", "parts", "--openapi", "api.json")
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
