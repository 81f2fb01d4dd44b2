"""Finds the document of a request: the text that was sent, or a known document by its hash or id.

Clients register automatic persisted queries (Apollo's protocol: `extensions.persistedQuery`). Gateways share them through
Redis. Any client may register documents, so registrations are limited: in size, in number for each client, and in time until
the document is first requested by its hash. A document beyond a limit is executed but not registered. Trusted documents
(`documentId`) come only from manifests.
"""

import re
import time
from collections.abc import Callable, Mapping
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from bff.errors import BadRequest, OperationNotAllowed, PersistedQueryNotFound, PersistedQueryNotSupported
from bff.gate.counts import Bucket, Charge, InMemory, Period, Quota
from bff.gate.manifests import SHA256, TrustedDocuments, hash_of
from bff.gate.shared_state import SharedStateBudget, SharedStateUnavailable
from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache

if TYPE_CHECKING:
    from bff.gate.shared import Shared

Mode = Literal["any", "trusted"]

MOST_TEXT_BYTES = 16 * 1024
"""A longer document is executed but not registered."""

_MOST_BYTES = 8 * 1024 * 1024
"""Memory for documents that were requested by their hash, in bytes. Those that were not yet have a quarter of it."""
_USED_S = 30 * 86_400
_UNUSED_S = 600
"""Seconds for which a registered document is kept: `_UNUSED_S` before it is first requested by its hash, `_USED_S` after."""
_REGISTRATION_BYTES = 512
"""Bytes charged for a registration besides its text: a key and an entry, in Redis and in this process."""
_REGISTRATIONS = (
    Bucket("registrations", 128 * 1024, 16 * 1024 / 60),
    Quota("registrations-day", 2 * 1024 * 1024, Period.DAY),
)
"""Bytes that one user, consumer or address may register: at once, in a minute, and in a day."""
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_LONGEST_ID = 512


class _Registered(msgspec.Struct, gc=False):
    """A registered document. It expires at `until`, by the monotonic clock."""

    text: str
    until: float

    @property
    def weight(self) -> int:
        """Its memory with entry and digest, in bytes. An estimate."""
        return getsizeof(self.text) + ENTRY_BYTES + 200


class Documents:
    """The documents that a variant knows by hash or id.

    Documents that were not yet requested by hash are kept separately, so that registering many evicts none that is in use.
    """

    def __init__(
        self,
        variant: str,
        mode: Mode,
        trusted: TrustedDocuments,
        shared: "Shared | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._variant = variant
        self._mode = mode
        self._trusted = trusted
        self._shared = shared
        self._clock = clock
        self._used: BoundedCache[str, _Registered] = BoundedCache(max_weight=_MOST_BYTES)
        self._unused: BoundedCache[str, _Registered] = BoundedCache(max_weight=_MOST_BYTES // 4)
        self._registrations = InMemory(clock)

    def __repr__(self) -> str:
        return f"<Documents {self._variant}: {len(self._trusted)} trusted, {len(self._used) + len(self._unused)} registered>"

    async def text(
        self,
        query: str | None,
        document_id: str | None,
        extensions: Mapping[str, Any] | None,
        wait_budget: SharedStateBudget | None = None,
    ) -> tuple[str, str | None]:
        """The document's text, and the hash under which to register it once it is found valid; None: don't register it.

        `wait_budget` limits the wait for documents that other gateways registered.

        Raises `BadRequest`, `PersistedQueryNotFound`, `PersistedQueryNotSupported`, `OperationNotAllowed`.
        """
        if document_id is None and not (extensions and "persistedQuery" in extensions):
            if query is None:
                raise BadRequest("Expected a query, documentId, or extensions.persistedQuery.")
            self._check(query)
            return query, None
        if document_id is not None:
            return self._by_id(query, document_id), None
        digest = _hash_in(extensions or {})
        if query is not None:
            if hash_of(query) != digest:
                raise BadRequest("extensions.persistedQuery.sha256Hash: expected the query's SHA-256, got another hash.")
            self._check(query)
            return query, (digest if self._mode == "any" and not self._is_registered(digest) else None)
        found = self._trusted.get(digest) or await self._find(digest, wait_budget or SharedStateBudget())
        if found is None:
            raise OperationNotAllowed if self._mode == "trusted" else PersistedQueryNotFound
        return found, None

    def is_trusted(self, query: str | None, document_id: str | None, extensions: Mapping[str, Any] | None) -> bool:
        """Whether the document of a request that `text` has accepted is one of a manifest, and no other."""
        if query is not None:
            return self._trusted.has_text(query)
        named = _hash_in(extensions or {}) if document_id is None else document_id
        return self._trusted.get(named) is not None

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
            raise BadRequest("The query is not the document that documentId names: send only one of them, or the same.")
        return found

    def _is_registered(self, digest: str) -> bool:
        found = self._used.peek(digest) or self._unused.peek(digest)
        return found is not None and self._clock() < found.until

    def _known(self, digest: str) -> str | None:
        """The text with that hash, if this process knows it. It counts as requested by its hash from now on."""
        found = self._used.get(digest)
        if found is not None:
            if self._clock() < found.until:
                return found.text
            self._used.drop(digest)
        unused = self._unused.drop(digest)
        if unused is None or self._clock() >= unused.until:
            return None
        self._keep_used(digest, unused.text)
        return unused.text

    async def _find(self, digest: str, wait_budget: SharedStateBudget) -> str | None:
        if self._mode == "trusted":
            return None
        text = self._known(digest)
        if text is not None or self._shared is None:
            return text
        try:
            found = await self._shared.get("document", f"{self._variant}:{digest}", wait_budget)
        except SharedStateUnavailable:
            return None
        # The hash is checked, because other programs may write to the same Redis.
        text = None if found is None else found.decode("utf-8", "replace")
        if text is None or hash_of(text) != digest:
            return None
        self._keep_used(digest, text)
        return text

    def _keep_used(self, digest: str, text: str) -> None:
        """Keep a document for `_USED_S`, here and in Redis, because it was requested by its hash."""
        entry = _Registered(text, self._clock() + _USED_S)
        self._used.put(digest, entry, entry.weight)
        self._share(digest, text, _USED_S)

    async def register(self, digest: str, text: str, whose: tuple[str, str] = ("", "")) -> None:
        """Register a document, within the limits of the client that registers it.

        Does not wait for Redis.

        Args:
            digest: the SHA-256 of the text.
            text: of a valid document.
            whose: kind and name of the client that the registration is charged to, as in `rate.Subject`.
        """
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MOST_TEXT_BYTES:
            return
        charges = [Charge((*whose, limit.name), limit, size + _REGISTRATION_BYTES) for limit in _REGISTRATIONS]
        if any(count.retry_after_s > 0 for count in await self._registrations.take(charges)):
            return
        entry = _Registered(text, self._clock() + _UNUSED_S)
        self._unused.put(digest, entry, entry.weight)
        self._share(digest, text, _UNUSED_S)

    def _share(self, digest: str, text: str, for_s: int) -> None:
        if self._shared is None:
            return
        try:
            encoded = text.encode()
        except UnicodeEncodeError:  # an unpaired surrogate, which GraphQL allows in a string
            return
        self._shared.put_later("document", f"{self._variant}:{digest}", encoded, for_s=for_s)


def _hash_in(extensions: Mapping[str, Any]) -> str:
    named = extensions["persistedQuery"]
    if not isinstance(named, dict):
        raise BadRequest("extensions.persistedQuery: expected an object.")
    if named.get("version") != 1 or isinstance(named.get("version"), bool):
        raise PersistedQueryNotSupported
    digest = named.get("sha256Hash")
    if isinstance(digest, str):
        digest = digest.lower().removeprefix(SHA256)  # GraphQL Code Generator writes it
    if not isinstance(digest, str) or not _HASH.match(digest):
        raise BadRequest("extensions.persistedQuery.sha256Hash: expected a SHA-256 in hexadecimal digits.")
    return digest
