"""Which document is meant: the text that was sent, or one that is known by its hash or id.

Automatic persisted queries (Apollo's protocol: `extensions.persistedQuery`) are registered by clients as they go, kept
within bounds, and shared by gateways where there is Redis. Trusted documents (`documentId`) come from manifests and nowhere
else.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from bff.errors import BadRequest, OperationNotAllowed, PersistedQueryNotFound, PersistedQueryNotSupported
from bff.gate.away import Away
from bff.gate.manifests import SHA256, TrustedDocuments, hash_of

if TYPE_CHECKING:
    from bff.gate.shared import Shared

Mode = Literal["any", "trusted"]

_MOST_DOCUMENTS = 1000
_MOST_CHARACTERS = 8 * 1024 * 1024
_KEPT_S = 30 * 86_400
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_LONGEST_ID = 512


class Documents:
    """The documents that a variant knows by name."""

    def __init__(self, variant: str, mode: Mode, trusted: TrustedDocuments, shared: "Shared | None" = None) -> None:
        self._variant = variant
        self._mode = mode
        self._trusted = trusted
        self._shared = shared
        self._registered: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    def __repr__(self) -> str:
        return f"<Documents {self._variant}: {len(self._trusted)} trusted, {len(self._registered)} registered>"

    async def text(
        self, query: str | None, document_id: str | None, extensions: Mapping[str, Any] | None
    ) -> tuple[str, str | None]:
        """The text that is meant, and the hash under which to register it once it has been found good.

        Raises `BadRequest`, `PersistedQueryNotFound`, `PersistedQueryNotSupported`, `OperationNotAllowed`.
        """
        if document_id is None and not (extensions and "persistedQuery" in extensions):
            if query is None:
                raise BadRequest("Expected a query, or the id of a document.")
            self._check(query)
            return query, None
        if document_id is not None:
            return self._by_id(query, document_id), None
        digest = _hash_in(extensions or {})
        if query is not None:
            if hash_of(query) != digest:
                raise BadRequest("The persisted query's sha256Hash is not that of the query.")
            self._check(query)
            return query, (digest if self._mode == "any" and digest not in self._registered else None)
        found = self._trusted.get(digest) or await self._find(digest)
        if found is None:
            raise OperationNotAllowed if self._mode == "trusted" else PersistedQueryNotFound
        return found, None

    def _check(self, query: str) -> None:
        if self._mode == "trusted" and not self._trusted.has_text(query):
            raise OperationNotAllowed

    def _by_id(self, query: str | None, id: str) -> str:
        found = self._trusted.get(id) if len(id) <= _LONGEST_ID else None
        if found is None and self._mode == "any" and id.startswith(SHA256):
            found = self._known(id.removeprefix(SHA256))
        if found is None:
            raise OperationNotAllowed if self._mode == "trusted" else PersistedQueryNotFound
        if query is not None and query != found:
            raise BadRequest("The query is another than the one of its documentId.")
        return found

    def _known(self, digest: str) -> str | None:
        text = self._registered.get(digest)
        if text is not None:
            self._registered.move_to_end(digest)
        return text

    async def _find(self, digest: str) -> str | None:
        if self._mode == "trusted":
            return None
        text = self._known(digest)
        if text is not None or self._shared is None:
            return text
        try:
            found = await self._shared.get("document", f"{self._variant}:{digest}")
        except Away:
            return None
        # Whoever else may write to Redis shall not choose what a hash stands for.
        came = None if found is None else found.decode("utf-8", "replace")
        if came is None or hash_of(came) != digest:
            return None
        self._keep(digest, came)
        return came

    async def register(self, digest: str, text: str) -> None:
        """Know a document by its hash from now on. Only one that has been found good, so that junk takes no room."""
        self._keep(digest, text)
        if self._shared is not None:
            try:
                await self._shared.put("document", f"{self._variant}:{digest}", text.encode(), for_s=_KEPT_S)
            except (Away, UnicodeEncodeError):
                return

    def _keep(self, digest: str, text: str) -> None:
        if digest in self._registered:
            return
        self._registered[digest] = text
        self._characters += len(text)
        while len(self._registered) > _MOST_DOCUMENTS or self._characters > _MOST_CHARACTERS:
            _, oldest = self._registered.popitem(last=False)
            self._characters -= len(oldest)


def _hash_in(extensions: Mapping[str, Any]) -> str:
    named = extensions["persistedQuery"]
    if not isinstance(named, dict):
        raise BadRequest("extensions.persistedQuery: expected an object.")
    if named.get("version") != 1 or isinstance(named.get("version"), bool):
        raise PersistedQueryNotSupported
    digest = named.get("sha256Hash")
    if not isinstance(digest, str) or not _HASH.match(digest.lower()):
        raise BadRequest("extensions.persistedQuery.sha256Hash: expected a SHA-256 in hexadecimal digits.")
    return digest.lower()
