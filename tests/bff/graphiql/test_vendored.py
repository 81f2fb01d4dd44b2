"""What others wrote and we serve is what was reviewed."""

import re
from hashlib import sha256

import pytest

from bff.graphiql.static import FOLDER

_OURS = {"VENDORED.md", "page.js", "page.css", "token.js", "transport.js", "examples.js", "explain.js", "icon.svg"}


def _checksums() -> dict[str, str]:
    """The table's files and checksums."""
    rows = (FOLDER / "VENDORED.md").read_text(encoding="utf-8").splitlines()
    cells = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|"))
    return {row[2]: row[3] for row in cells if re.fullmatch(r"[0-9a-f]{64}", row[3])}


@pytest.mark.parametrize(("name", "checksum"), _checksums().items())
def test_checksum(name: str, checksum: str) -> None:
    """A vendored file is, byte for byte, the one of the table."""
    assert sha256((FOLDER / name).read_bytes()).hexdigest() == checksum


def test_every_file_is_accounted_for() -> None:
    """The folder holds our own files and those of the table, and each library's licence beside it."""
    assert {path.name for path in FOLDER.iterdir()} == _OURS | _checksums().keys()
    assert {"graphiql.LICENSE", "react.LICENSE", "react-dom.LICENSE"} <= _checksums().keys()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.css")))
def test_stylesheet_loads_nothing(name: str) -> None:
    """A stylesheet imports nothing, and whatever it shows or is set in is data of its own."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert re.findall(r"@import[^;]*|url\((?![\"']?data:)[^)]{0,80}", text) == []


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.[jc]s*")))
def test_no_source_map(name: str) -> None:
    """No file sends the developer tools for a source map that is not there."""
    assert "sourceMappingURL=" not in (FOLDER / name).read_text(encoding="utf-8")
