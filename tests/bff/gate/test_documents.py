"""Which document is meant: sent, known by its hash, or trusted."""

from typing import Any

import pytest

from bff.errors import BadRequest, GatewayError, OperationNotAllowed, PersistedQueryNotFound, PersistedQueryNotSupported
from bff.gate import documents as module
from bff.gate.documents import Documents, Mode
from bff.gate.manifests import SHA256, TrustedDocument, TrustedDocuments, hash_of

TEXT = "query A { __typename }"
OTHER = "{ me { id } }"
TRUSTED = TrustedDocuments([TrustedDocument(TEXT, ("a1", SHA256 + hash_of(TEXT)), "A", "app.json")])


def known(mode: Mode = "any") -> Documents:
    """A variant's documents, with one that is trusted."""
    return Documents("web", mode, TRUSTED)


def persisted(text: str, **more: Any) -> dict[str, Any]:
    """The extension that names a text by its hash."""
    return {"persistedQuery": {"version": 1, "sha256Hash": hash_of(text), **more}}


async def refused(documents: Documents, *asked: Any) -> type[GatewayError]:
    """With what error."""
    with pytest.raises(GatewayError) as caught:
        await documents.text(*asked)
    return type(caught.value)


async def test_a_text_is_itself() -> None:
    """Nothing is registered that nobody asked to."""
    assert await known().text(TEXT, None, None) == (TEXT, None)
    assert await known().text(OTHER, None, {"other": 1}) == (OTHER, None)
    assert await refused(known(), None, None, None) is BadRequest


async def test_a_hash_is_known_once_its_document_was_found_good() -> None:
    """Not by being sent: whoever has looked at it registers it."""
    documents = known()
    assert await refused(documents, None, None, persisted(OTHER)) is PersistedQueryNotFound
    assert await documents.text(OTHER, None, persisted(OTHER)) == (OTHER, hash_of(OTHER))
    assert await refused(documents, None, None, persisted(OTHER)) is PersistedQueryNotFound
    await documents.register(hash_of(OTHER), OTHER)
    assert await documents.text(None, None, persisted(OTHER)) == (OTHER, None)
    assert await documents.text(None, None, persisted(OTHER, sha256Hash=hash_of(OTHER).upper())) == (OTHER, None)
    assert await documents.text(OTHER, None, persisted(OTHER)) == (OTHER, None)
    assert await documents.text(None, SHA256 + hash_of(OTHER), None) == (OTHER, None)


@pytest.mark.parametrize(
    ("extension", "error"),
    [
        (None, BadRequest),
        (1, BadRequest),
        ([], BadRequest),
        ({}, PersistedQueryNotSupported),
        ({"version": "1"}, PersistedQueryNotSupported),
        ({"version": True, "sha256Hash": hash_of(TEXT)}, PersistedQueryNotSupported),
        ({"version": 1}, BadRequest),
        ({"version": 1, "sha256Hash": None}, BadRequest),
        ({"version": 1, "sha256Hash": "0" * 63}, BadRequest),
        ({"version": 1, "sha256Hash": "g" * 64}, BadRequest),
        ({"version": 1, "sha256Hash": "0" * 64 + "\n"}, BadRequest),
    ],
)
@pytest.mark.parametrize("text", [None, TEXT])
async def test_a_hash_that_is_none(extension: Any, error: type[GatewayError], text: str | None) -> None:
    """It is said what is wrong with it, though the text is there too."""
    assert await refused(known(), text, None, {"persistedQuery": extension}) is error


async def test_a_text_under_another_s_hash_is_refused() -> None:
    """Whoever could do that would choose what others run."""
    assert await refused(known(), OTHER, None, persisted(TEXT)) is BadRequest
    assert await refused(known(), OTHER, "a1", None) is BadRequest


@pytest.mark.parametrize("id", ["a1", SHA256 + hash_of(TEXT)])
async def test_a_trusted_document_by_its_id(id: str) -> None:
    """In both modes; with its text beside it as well."""
    for mode in ("any", "trusted"):
        assert await known(mode).text(None, id, None) == (TEXT, None)
        assert await known(mode).text(TEXT, id, None) == (TEXT, None)


@pytest.mark.parametrize("id", ["", "a2", "A1", SHA256, SHA256 + "0" * 64, "x" * 10_000])
async def test_an_id_that_nobody_knows(id: str) -> None:
    """The client may send the document instead, where any is taken."""
    assert await refused(known(), None, id, None) is PersistedQueryNotFound
    assert await refused(known("trusted"), None, id, None) is OperationNotAllowed


async def test_trusted_is_trusted() -> None:
    """A text is taken where it is one of them, to the byte; nothing is learnt."""
    documents = known("trusted")
    assert await documents.text(TEXT, None, None) == (TEXT, None)
    assert await documents.text(None, None, persisted(TEXT)) == (TEXT, None)
    assert await documents.text(TEXT, None, persisted(TEXT)) == (TEXT, None)
    for asked in (
        (OTHER, None, None),
        (TEXT + "\n", None, None),
        (None, None, persisted(OTHER)),
        (OTHER, None, persisted(OTHER)),
    ):
        assert await refused(documents, *asked) is OperationNotAllowed


async def test_the_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size; what was asked for last stays."""
    monkeypatch.setattr(module, "_MOST_DOCUMENTS", 3)
    documents = known()
    texts = [f"{{ a{number}: __typename }}" for number in range(4)]
    for text in texts[:3]:
        await documents.register(hash_of(text), text)
    await documents.text(None, None, persisted(texts[0]))
    await documents.register(hash_of(texts[3]), texts[3])
    assert await refused(documents, None, None, persisted(texts[1])) is PersistedQueryNotFound
    assert await documents.text(None, None, persisted(texts[0])) == (texts[0], None)
    monkeypatch.setattr(module, "_MOST_CHARACTERS", 50)
    long = "{ " + "a" * 40 + " }"
    await documents.register(hash_of(long), long)
    assert await documents.text(None, None, persisted(long)) == (long, None)
    assert await refused(documents, None, None, persisted(texts[0])) is PersistedQueryNotFound


async def test_half_a_character_has_a_hash_too() -> None:
    """Of JSON's escapes a text may be made that is no Unicode."""
    text = '{ a(b: "\ud800") }'
    assert await known().text(text, None, persisted(text)) == (text, hash_of(text))
