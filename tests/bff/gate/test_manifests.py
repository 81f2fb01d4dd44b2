"""Manifests of trusted documents: both formats, several manifests, and files that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from bff.gate.manifests import ManifestError, hash_of, read, read_all

TEXT = "query A { __typename }"
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [{"id": "a1", "name": "A", "type": "query", "body": TEXT}],
}


def written(folder: Path, name: str, content: Any) -> Path:
    """A file with that content: bytes unchanged, anything else as JSON."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.mark.parametrize(("content", "name"), [(APOLLO, "A"), ({"a1": TEXT}, None)])
def test_both_formats_are_read(tmp_path: Path, content: Any, name: str | None) -> None:
    """The content tells them apart."""
    (document,) = read(written(tmp_path, "app.json", content))
    assert (document.text, document.ids, document.name, document.manifest) == (
        TEXT,
        ("a1", f"sha256:{hash_of(TEXT)}"),
        name,
        "app.json",
    )


def test_a_relay_document_may_be_called_format(tmp_path: Path) -> None:
    """The ids of a Relay manifest are free. A text with the id `format` doesn't make it an Apollo manifest."""
    with pytest.raises(ManifestError):
        read(written(tmp_path, "app.json", {"format": TEXT}))


def test_several_manifests_are_read(tmp_path: Path) -> None:
    """A folder's files in the order of their names. A document in two of them is one, and every id and hash finds it."""
    written(tmp_path, "1.json", APOLLO)
    written(tmp_path, "2.json", {"b1": TEXT, "b2": "{ me { id } }"})
    written(tmp_path, "notes.txt", b"no manifest")
    trusted = read_all([str(tmp_path)])
    assert len(trusted) == 2
    for name in ("a1", "b1", f"sha256:{hash_of(TEXT)}", hash_of(TEXT)):
        assert trusted.get(name) == TEXT
    assert trusted.get("b2") == "{ me { id } }"
    assert trusted.get("c") is None
    assert trusted.has_text(TEXT)
    assert not trusted.has_text(TEXT + " ")
    assert [each.manifest for each in trusted] == ["1.json", "2.json", "2.json"]


def test_one_id_is_one_document(tmp_path: Path) -> None:
    """If two manifests have different documents with one id, the start fails and names it."""
    one, other = written(tmp_path, "1.json", {"a": "{ a }"}), written(tmp_path, "2.json", {"a": "{ b }"})
    with pytest.raises(ManifestError, match=r"2\.json: the id a is another document in 1\.json"):
        read_all([str(one), str(other)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 50_000,
        {"a": 1},
        {"a": None},
        {**APOLLO, "version": 2},
        {**APOLLO, "format": "another"},
        {**APOLLO, "operations": {}},
        {**APOLLO, "operations": [{"id": "a"}]},
    ],
)
def test_a_file_that_is_no_manifest_is_named(tmp_path: Path, content: Any) -> None:
    """The start fails and names the file."""
    path = written(tmp_path, "app.json", content)
    with pytest.raises(ManifestError, match=r"app\.json"):
        read_all([str(path)])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """An empty folder has no documents, and is no error."""
    with pytest.raises(ManifestError, match=r"missing\.json: No such file"):
        read_all([str(tmp_path / "missing.json")])
    assert len(read_all([str(tmp_path)])) == 0
