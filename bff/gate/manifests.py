"""Trusted documents: documents that were registered when an app was built. They are read from manifests at start-up.

Two formats are known, which are told apart by their content: Apollo's persisted query manifest (version 1), and Relay's map
from id to text. Each version of an app has its own manifest. Several manifests may hold the same document.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

_APOLLO = "apollo-persisted-query-manifest"
_MOST_BYTES = 64 * 1024 * 1024
_MOST_DOCUMENTS = 100_000
SHA256 = "sha256:"


class ManifestError(Exception):
    """A manifest can't be used. The message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class TrustedDocument:
    """A document that an app was built with.

    Attributes:
        text: the whole document.
        ids: the ids that requests may use: the manifest's own, and `sha256:` with the text's hash.
        name: the operation's name, if the manifest has it.
        manifest: the name of the file that it comes from, without its folder.
    """

    text: str
    ids: tuple[str, ...]
    name: str | None
    manifest: str


class _ApolloOperation(msgspec.Struct):
    id: str
    body: str
    name: str | None = None


class _ApolloManifest(msgspec.Struct):
    format: str
    version: int
    operations: list[_ApolloOperation]


_apollo = msgspec.json.Decoder(_ApolloManifest)
_relay = msgspec.json.Decoder(dict[str, str])
_members = msgspec.json.Decoder(dict[str, Any])


class TrustedDocuments:
    """All documents of a variant's manifests. Raises `ManifestError` if one id stands for two documents."""

    def __init__(self, documents: Iterable[TrustedDocument]) -> None:
        self._all = tuple(documents)
        self._by_id: dict[str, TrustedDocument] = {}
        self._texts: set[str] = set()
        for document in self._all:
            self._texts.add(document.text)
            for name in document.ids:
                other = self._by_id.setdefault(name, document)
                if other.text != document.text:
                    raise ManifestError(f"{document.manifest}: the id {name} is another document in {other.manifest}")

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[TrustedDocument]:
        return iter(self._all)

    def __repr__(self) -> str:
        return f"<TrustedDocuments: {len(self)}>"

    def is_same_as(self, other: "TrustedDocuments") -> bool:
        """Whether both have the same documents under the same ids."""
        return self._all == tuple(other)

    def get(self, id: str) -> str | None:
        """The text of the document with that id, or with that SHA-256; None if there is none."""
        found = self._by_id.get(id) or self._by_id.get(SHA256 + id)
        return None if found is None else found.text

    def has_text(self, text: str) -> bool:
        """Whether a document with exactly that text is trusted."""
        return text in self._texts


def read_all(places: Iterable[str]) -> TrustedDocuments:
    """The documents of all manifests. A place is a file, or a folder with `.json` files. Raises `ManifestError`."""
    documents: list[TrustedDocument] = []
    for path in _files(places):
        documents += read(path)
        if len(documents) > _MOST_DOCUMENTS:
            raise ManifestError(f"{path}: expected at most {_MOST_DOCUMENTS} documents in all, got {len(documents)}")
    return TrustedDocuments(documents)


def _files(places: Iterable[str]) -> Iterator[Path]:
    for place in places:
        path = Path(place)
        if path.is_dir():
            yield from sorted(path.glob("*.json"))
        else:
            yield path


def read(path: Path) -> list[TrustedDocument]:
    """The documents of one manifest. Raises `ManifestError`."""
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ManifestError(f"{path}: expected at most {_MOST_BYTES} bytes, got {size}")
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or 'it cannot be read'}") from error
    try:
        members = _members.decode(content)
        if "format" in members and not isinstance(members["format"], dict):
            return _apollo_documents(path, content)
        return [_document(path, name, text, None) for name, text in _relay.decode(content).items()]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"{path}: expected a manifest in Apollo's or Relay's format ({error})") from error


def _apollo_documents(path: Path, content: bytes) -> list[TrustedDocument]:
    manifest = _apollo.decode(content)
    if manifest.format != _APOLLO or manifest.version != 1:
        raise ManifestError(f"{path}: expected {_APOLLO} of version 1, got {manifest.format} of version {manifest.version}")
    return [_document(path, each.id, each.body, each.name) for each in manifest.operations]


def _document(path: Path, id: str, text: str, name: str | None) -> TrustedDocument:
    return TrustedDocument(text, tuple(dict.fromkeys((id, SHA256 + hash_of(text)))), name, path.name)


def hash_of(text: str) -> str:
    """The SHA-256 of a document in hexadecimal digits."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
