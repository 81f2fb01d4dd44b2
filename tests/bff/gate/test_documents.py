"""The document of a request: sent, known by its hash, or trusted."""

from typing import Any

import pytest

from bff.errors import BadRequest, GatewayError, OperationNotAllowed, PersistedQueryNotFound, PersistedQueryNotSupported
from bff.gate import documents as module
from bff.gate.documents import MOST_TEXT_BYTES, Documents, Mode
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


async def test_a_text_without_a_hash_is_not_registered() -> None:
    """It is executed as it was sent."""
    assert await known().text(TEXT, None, None) == (TEXT, None)
    assert await known().text(OTHER, None, {"other": 1}) == (OTHER, None)
    assert await refused(known(), None, None, None) is BadRequest


async def test_a_hash_is_known_after_its_document_was_registered() -> None:
    """Sending it is not enough: the caller registers it after validation."""
    documents = known()
    assert await refused(documents, None, None, persisted(OTHER)) is PersistedQueryNotFound
    assert await documents.text(OTHER, None, persisted(OTHER)) == (OTHER, hash_of(OTHER))
    assert await refused(documents, None, None, persisted(OTHER)) is PersistedQueryNotFound
    await documents.register(hash_of(OTHER), OTHER)
    assert await documents.text(None, None, persisted(OTHER)) == (OTHER, None)
    for written in (hash_of(OTHER).upper(), SHA256 + hash_of(OTHER)):
        assert await documents.text(None, None, persisted(OTHER, sha256Hash=written)) == (OTHER, None)
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
async def test_an_unusable_hash_is_refused(extension: Any, error: type[GatewayError], text: str | None) -> None:
    """The message says what is wrong with it, also if the text was sent too."""
    assert await refused(known(), text, None, {"persistedQuery": extension}) is error


async def test_a_text_with_another_document_s_hash_is_refused() -> None:
    """Otherwise a client could choose what others execute."""
    assert await refused(known(), OTHER, None, persisted(TEXT)) is BadRequest
    assert await refused(known(), OTHER, "a1", None) is BadRequest


@pytest.mark.parametrize("id", ["a1", SHA256 + hash_of(TEXT)])
async def test_a_trusted_document_by_its_id(id: str) -> None:
    """In both modes, and with its text as well."""
    for mode in ("any", "trusted"):
        assert await known(mode).text(None, id, None) == (TEXT, None)
        assert await known(mode).text(TEXT, id, None) == (TEXT, None)


@pytest.mark.parametrize("id", ["", "a2", "A1", SHA256, SHA256 + "0" * 64, "x" * 10_000])
async def test_an_unknown_id_is_refused(id: str) -> None:
    """In the mode `any` the client may then send the document."""
    assert await refused(known(), None, id, None) is PersistedQueryNotFound
    assert await refused(known("trusted"), None, id, None) is OperationNotAllowed


async def test_the_mode_trusted_accepts_only_trusted_documents() -> None:
    """A text is accepted if it is identical to a trusted one. Nothing is registered."""
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


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def text_of(number: int, length: int = 0) -> str:
    """A document of at least `length` characters."""
    return f"{{ a{number}: __typename }}".ljust(length, "#")


async def is_known(documents: Documents, text: str) -> bool:
    """Whether it may be asked for by its hash."""
    try:
        return await documents.text(None, None, persisted(text)) == (text, None)
    except PersistedQueryNotFound:
        return False


async def test_the_memory_of_documents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents that were not yet requested by hash evict each other, and none that is in use."""
    monkeypatch.setattr(module, "_MOST_BYTES", 40_000)
    documents = known()
    await documents.register(hash_of(OTHER), OTHER, ("user", "1"))
    assert await is_known(documents, OTHER)
    texts = [text_of(number, 2800) for number in range(10)]
    for number, text in enumerate(texts):
        await documents.register(hash_of(text), text, ("address", str(number)))
    assert documents._unused.weight <= 10_000
    assert [await is_known(documents, text) for text in texts] == [False] * 7 + [True] * 3
    assert await is_known(documents, OTHER)


async def test_an_unused_document_expires_after_ten_minutes() -> None:
    """One that was requested by its hash expires after thirty days."""
    clock = Clock()
    documents = Documents("web", "any", TRUSTED, None, clock)
    one, other = text_of(1), text_of(2)
    for text in (one, other):
        await documents.register(hash_of(text), text)
    clock.at += 599
    assert await is_known(documents, one)
    clock.at += 2
    assert await documents.text(other, None, persisted(other)) == (other, hash_of(other)), "it may be registered again"
    assert not await is_known(documents, other)
    clock.at += 29 * 86_400
    assert await is_known(documents, one)
    clock.at += 86_400
    assert not await is_known(documents, one)


async def test_a_long_document_is_not_registered() -> None:
    """The limit is in bytes. The document is executed all the same."""
    documents = known()
    fits, long, wide = text_of(1, MOST_TEXT_BYTES), text_of(2, MOST_TEXT_BYTES + 1), text_of(3) + "#" + "я" * 9000
    for text in (fits, long, wide):
        assert await documents.text(text, None, persisted(text)) == (text, hash_of(text))
        await documents.register(hash_of(text), text)
    assert [await is_known(documents, text) for text in (fits, long, wide)] == [True, False, False]


async def test_the_registrations_of_a_client_are_bounded() -> None:
    """In bytes at once and in a day. Other clients are not affected, and the allowance is refilled with time."""
    clock = Clock()
    documents = Documents("web", "any", TRUSTED, None, clock)

    async def register(whose: str, numbers: range) -> int:
        before = len(documents._unused)
        for number in numbers:
            text = text_of(number, 10_000)
            await documents.register(hash_of(text), text, ("address", whose))
        return len(documents._unused) - before

    assert await register("a", range(100)) == 12
    assert await register("b", range(100, 200)) == 12
    clock.at += 60
    assert await register("a", range(200, 300)) == 2
    registered = 14
    for minute in range(200):
        clock.at += 120
        registered += await register("a", range(1000 + 10 * minute, 1010 + 10 * minute))
        for digest in list(documents._unused):
            documents._unused.drop(digest)
    assert registered * (10_000 + 512) <= 2 * 1024 * 1024 < (registered + 1) * (10_000 + 512)


async def test_an_unpaired_surrogate_has_a_hash() -> None:
    """JSON's escapes can express text that is no valid Unicode."""
    text = '{ a(b: "\ud800") }'
    assert await known().text(text, None, persisted(text)) == (text, hash_of(text))
