"""What others wrote and we serve is what was reviewed."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

from bff.graphiql.page import ASSETS as GRAPHIQL
from bff.operations.page import ASSETS as REST

_OURS = {
    GRAPHIQL.path: {"page.js", "page.css", "token.js", "transport.js", "examples.js", "explain.js", "icon.svg"},
    REST.path: set[str](),
}
_LICENSES = {
    GRAPHIQL.path: {"graphiql.LICENSE", "react.LICENSE", "react-dom.LICENSE"},
    REST.path: {"swagger-ui.LICENSE", "swagger-ui.NOTICE", "swagger-ui.min.js.LICENSE"},
}


def _checksums(folder: Path) -> dict[str, str]:
    """The table's files and checksums."""
    rows = (folder / "VENDORED.md").read_text(encoding="utf-8").splitlines()
    cells = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|"))
    return {row[2]: row[3] for row in cells if re.fullmatch(r"[0-9a-f]{64}", row[3])}


def _files(pattern: str) -> list[Path]:
    return sorted(path for folder in _OURS for path in folder.glob(pattern))


@pytest.mark.parametrize(
    ("path", "checksum"), [(folder / name, told) for folder in _OURS for name, told in _checksums(folder).items()]
)
def test_checksum(path: Path, checksum: str) -> None:
    """A vendored file is, byte for byte, the one of the table."""
    assert sha256(path.read_bytes()).hexdigest() == checksum


@pytest.mark.parametrize("folder", _OURS)
def test_every_file_is_accounted_for(folder: Path) -> None:
    """The folder holds our own files and those of the table, and each library's licence beside it."""
    named = _checksums(folder).keys()
    assert {path.name for path in folder.iterdir()} == _OURS[folder] | named | {"VENDORED.md"}
    assert _LICENSES[folder] <= named


@pytest.mark.parametrize("path", _files("*.css"))
def test_stylesheet_loads_nothing(path: Path) -> None:
    """A stylesheet imports nothing, and whatever it shows or is set in is data of its own."""
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"@import[^;]*|url\((?![\"']?data:)[^)]{0,80}", text) == []


@pytest.mark.parametrize("path", _files("*.[jc]s*"))
def test_no_source_map(path: Path) -> None:
    """No file sends the developer tools for a source map that is not there."""
    assert "sourceMappingURL=" not in path.read_text(encoding="utf-8")
