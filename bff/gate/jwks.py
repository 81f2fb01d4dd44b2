"""An issuer's key set (RFC 7517), fetched by a background task and renewed while the gateway runs.

Keys rotate without a restart. The set is fetched again
- when it is no longer fresh by its `Cache-Control`, within limits,
- when a token names a key that is not in it, at most once in `UNKNOWN_KEY_S`,
- when an administrator asks for it.
While the issuer is unavailable the last good set is used.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import msgspec

from bff.errors import KeysUnavailable
from bff.runtime.clock import Clock
from bff.runtime.log import Log
from bff.upstream.traffic.freshness import cache_control
from bff.upstream.wire import Wire, WireReply, WireRequest

REFRESH_S = 60.0
"""Seconds between fetches if the issuer's answer has no `max-age`."""
LEAST_REFRESH_S = 10.0
MOST_REFRESH_S = 300.0
"""Limits on the interval between fetches, in seconds. A withdrawn key may be accepted for one interval."""

UNKNOWN_KEY_S = 10.0
"""Minimum interval in seconds between fetches that are caused by an unknown `kid`."""

_KINDS: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
"""The algorithms of a kind of key, by its `kty` and `crv` (RFC 7518, section 6; RFC 8037). The first is for keys without
`alg`."""

ALGORITHMS = frozenset(name for names in _KINDS.values() for name in names)
"""The algorithms of key sets."""

_SHORTEST_RSA_BITS = 2048
_FETCH_TIMEOUT_S = 5.0
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0
_MOST_DOUBLINGS = 6
"""Limit on the doublings of the time between retries, so that the power of two is finite after any number of failures."""
_MOST_BYTES = 1024 * 1024
_MOST_KEYS = 100
_HEADERS = (("Accept", "application/jwk-set+json, application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "bff"))
_SECONDS = re.compile(r"[0-9]{1,10}\Z")
_log = Log("bff.jwks")


class _KeySetError(Exception):
    """The reply is no usable key set. The message is for the log, so it has nothing of the reply."""


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


class _Metadata(msgspec.Struct):
    issuer: str
    jwks_uri: str


_document = msgspec.json.Decoder(_Document)
_metadata = msgspec.json.Decoder(_Metadata)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def is_safe_url(url: str) -> bool:
    """Whether keys may be fetched from there: by https, or from this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return (
        bool(host)
        and "@" not in parts.netloc
        and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))
    )


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key to verify signatures with, and the only algorithm that it is used with."""

    id: str | None
    algorithm: str
    key: Any


@dataclass(frozen=True, slots=True)
class KeySetPlace:
    """Where a key set is: at `url`, or where the metadata of `issuer` says (OpenID Connect Discovery 1.0, section 4)."""

    url: str | None = None
    issuer: str | None = None


class KeySet:
    """The key set at a place. The composition root runs `run` as a background task.

    Until the first set is fetched, no token can be checked.
    """

    def __init__(
        self,
        name: str,
        place: KeySetPlace,
        wire: Wire,
        on_withdrawn: Callable[[], None] = lambda: None,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        """Make a key set. Nothing is fetched yet.

        Args:
            name: the issuer's name in the log.
            place: where the set is.
            wire: the HTTP client.
            on_withdrawn: called when a key is no longer in the set, or has changed.
            clock: in seconds.
        """
        self._name = name
        self._place = place
        self._wire = wire
        self._on_withdrawn = on_withdrawn
        self._clock = clock
        self._keys: tuple[PublicKey, ...] | None = None
        self._fetched_at = -UNKNOWN_KEY_S
        self._failures = 0
        self._refresh_s = REFRESH_S
        self._due = asyncio.Event()
        self._fetching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<KeySet {self._name}: {len(self._keys or ())} keys>"

    async def find(self, id: str | None, algorithm: str) -> PublicKey | None:
        """The key with that id for that algorithm; None if there is none. May fetch the set.

        Without an id it is the key for that algorithm, if there is only one.

        Raises `KeysUnavailable` if no set could be fetched yet.
        """
        found = self._find(id, algorithm)
        if found is None and self._clock() - self._fetched_at >= UNKNOWN_KEY_S:
            await self._fetch_once()
            found = self._find(id, algorithm)
        elif found is None and self._fetching is not None:
            await asyncio.wait([self._fetching])
            found = self._find(id, algorithm)
        if found is None and self._keys is None:
            raise KeysUnavailable
        return found

    def _find(self, id: str | None, algorithm: str) -> PublicKey | None:
        fitting = [key for key in self._keys or () if key.algorithm == algorithm and (id is None or key.id == id)]
        return fitting[0] if fitting and (id is not None or len(fitting) == 1) else None

    async def run(self) -> None:
        """Fetch the set now, and again when it is due or `refresh` is called, until cancelled."""
        while True:
            self._due.clear()  # before the fetch: a request for one during it needs another one
            await self._fetch_once()
            try:
                async with asyncio.timeout(self.delay_s()):
                    await self._due.wait()
            except TimeoutError:
                pass

    def delay_s(self) -> float:
        """Seconds until the next fetch."""
        if not self._failures:
            return self._refresh_s
        return min(_FIRST_RETRY_S * 2.0 ** min(self._failures - 1, _MOST_DOUBLINGS), _LONGEST_RETRY_S)

    def refresh(self) -> None:
        """Fetch the set now, for an administrator who knows that it has changed."""
        self._due.set()

    async def _fetch_once(self) -> None:
        """Fetch the set, or wait for the fetch in progress. A cancelled request doesn't cancel it for the others."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        self._fetched_at = self._clock()
        try:
            async with asyncio.timeout(_FETCH_TIMEOUT_S):
                reply = await self._get(self._place.url or await self._discovered(self._place.issuer or ""))
            self._take(parse_keys(reply))
            self._refresh_s = refresh_s(reply.headers)
        except Exception as error:  # noqa: BLE001 - after any failure the last good set is used, and `run` tries again
            self._failures += 1
            reason = str(error) if isinstance(error, _KeySetError) else type(error).__name__
            _log.warning("key set not fetched", issuer=self._name, reason=reason, keys=len(self._keys or ()))
        finally:
            self._fetching = None

    async def _get(self, url: str) -> WireReply:
        return await self._wire.send(WireRequest("GET", url, _HEADERS), max_response_bytes=_MOST_BYTES)

    async def _discovered(self, issuer: str) -> str:
        """The URL of the key set in the issuer's metadata. Raises `_KeySetError`."""
        reply = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if reply.status != 200:
            raise _KeySetError(f"status {reply.status} of the issuer's metadata")
        try:
            metadata = _metadata.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _KeySetError("the issuer's metadata can't be read") from error
        if metadata.issuer != issuer:
            # Else whoever serves the metadata could name the keys of another issuer (section 4.3).
            raise _KeySetError("the issuer's metadata is of another issuer")
        if not is_safe_url(metadata.jwks_uri):
            raise _KeySetError("the issuer's metadata has no jwks_uri with https")
        return metadata.jwks_uri

    def _take(self, keys: tuple[PublicKey, ...]) -> None:
        before = {(key.id, key.algorithm): _numbers(key) for key in self._keys or ()}
        after = {(key.id, key.algorithm): _numbers(key) for key in keys}
        self._keys = keys
        self._failures = 0
        if before != after:
            _log.info("key set fetched", issuer=self._name, keys=len(keys))
        if any(after.get(name) != numbers for name, numbers in before.items()):
            self._on_withdrawn()


def refresh_s(headers: Mapping[str, str]) -> float:
    """Seconds for which a set is fresh by its `Cache-Control` and `Age` (RFC 9111, section 4.2), within our limits."""
    directives = cache_control(headers.get("cache-control", ""))
    if "no-store" in directives or "no-cache" in directives:
        return LEAST_REFRESH_S
    stated, age = directives.get("max-age") or "", headers.get("age", "").strip()
    if not _SECONDS.match(stated):
        return REFRESH_S
    left_s = int(stated) - (int(age) if _SECONDS.match(age) else 0)
    return min(max(float(left_s), LEAST_REFRESH_S), MOST_REFRESH_S)


def _numbers(key: PublicKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - see `parse_keys`

    encoded: bytes = key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def parse_keys(reply: WireReply) -> tuple[PublicKey, ...]:
    """The keys of a set that tokens can be verified with. Others are ignored (RFC 7517, section 5).

    Raises `_KeySetError` if it is no set or has no such key: the last good set is used instead.
    """
    if reply.status != 200:
        raise _KeySetError(f"status {reply.status}")
    try:
        members = _document.decode(reply.body).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _KeySetError("not a key set") from error
    keys = tuple(key for each in members[:_MOST_KEYS] if (key := _public_key(each)) is not None)
    if not keys:
        raise _KeySetError("none of its keys can be used")
    return keys


def _public_key(member: Mapping[str, Any]) -> PublicKey | None:
    algorithm = _algorithm(member)
    kid = member.get("kid")
    operations = member.get("key_ops", ["verify"])
    if (
        algorithm is None
        or member.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
        or not isinstance(kid, str | None)
    ):
        return None
    # If an issuer publishes a private key by mistake, only its public members are read.
    public = {name: value for name, value in member.items() if name in {"kty", "crv", "x", "y", "n", "e"}}
    try:
        # The cryptography library is large, so it is loaded only if there is a key set.
        key = jwt.PyJWK({**public, "alg": algorithm}).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
        return None
    if member["kty"] == "RSA" and key.key_size < _SHORTEST_RSA_BITS:
        return None  # RFC 7518, section 3.3
    return PublicKey(kid, algorithm, key)


def _algorithm(member: Mapping[str, Any]) -> str | None:
    """The one algorithm that a key is used with: its own `alg`, else that of its kind; None if there is none."""
    kind = (member.get("kty"), None if member.get("kty") == "RSA" else member.get("crv"))
    names = _KINDS.get(kind) if all(isinstance(each, str | None) for each in kind) else None  # type: ignore[arg-type]
    if names is None:
        return None
    own = member.get("alg")
    if own in {"Ed25519", "Ed448"}:  # RFC 9864 names the curves
        own = "EdDSA"
    return names[0] if own is None else own if own in names else None
