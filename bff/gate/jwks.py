"""An issuer's key set (RFC 7517), fetched beside the requests and renewed while the gateway runs.

Keys rotate without a restart: the set is fetched again as often as its `Cache-Control` says, within limits; when a token
names a key that is not in it, at most once in `UNKNOWN_KEY_S`; and when an administrator asks for it. While the issuer is
unavailable the last good set is used.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import msgspec

from bff.errors import KeysUnavailable
from bff.runtime.clock import Clock
from bff.upstream.traffic.freshness import cache_control
from bff.upstream.wire import Wire, WireReply, WireRequest

REFRESH_S = 60.0
"""Seconds between fetches if the issuer's answer has no `max-age`."""
LEAST_REFRESH_S = 10.0
MOST_REFRESH_S = 300.0
"""Limits on the interval between fetches, in seconds. A withdrawn key may be accepted for one interval."""

UNKNOWN_KEY_S = 10.0
"""So long it takes until the next unknown key id may make the set be fetched."""

ALGORITHMS = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
"""The algorithms of key sets, each with the only kind of key that it is used with (RFC 7518, section 6; RFC 8037)."""

_CURVES = {"ES256": frozenset({"P-256"}), "EdDSA": frozenset({"Ed25519", "Ed448"})}
_SHORTEST_RSA_BITS = 2048
_FETCH_TIMEOUT_S = 5.0
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0
_MOST_DOUBLINGS = 6
"""Doublings of the time between retries, so that the power of two stays finite after any number of failures."""
_MOST_BYTES = 1024 * 1024
_MOST_KEYS = 100
_HEADERS = (("Accept", "application/jwk-set+json, application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "bff"))
_SECONDS = re.compile(r"[0-9]{1,10}\Z")
_log = logging.getLogger("bff.jwks")


class _KeySetError(Exception):
    """What came is no key set. The message is for the log and holds nothing of the issuer's."""


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


_document = msgspec.json.Decoder(_Document)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key to verify with, and the one algorithm that it is for."""

    id: str | None
    algorithm: str
    key: Any


class KeySet:
    """The keys at `url`. `name` says in the log whose they are; `on_withdrawn` is called when a key is gone from the set.

    `run` is a task of the composition root's. Until the first set has come, no token can be checked.
    """

    def __init__(
        self,
        name: str,
        url: str,
        wire: Wire,
        on_withdrawn: Callable[[], None] = lambda: None,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._name = name
        self._url = url
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
        """The key of that id for that algorithm; without an id, the only one there is for it. None where there is none.

        Raises `KeysUnavailable` where no set could be had so far.
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
        """Fetch now and then at intervals, shorter ones after a failure, until cancelled."""
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
        """Fetch, or wait for whoever does. A request that is cancelled meanwhile doesn't end it for the others."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        self._fetched_at = self._clock()
        try:
            async with asyncio.timeout(_FETCH_TIMEOUT_S):
                reply = await self._wire.send(WireRequest("GET", self._url, _HEADERS), max_response_bytes=_MOST_BYTES)
            self._take(parse_keys(reply))
            self._refresh_s = refresh_s(reply.headers)
        except Exception as error:  # noqa: BLE001 - whatever it is, the last good set holds, and the rounds go on
            self._failures += 1
            reason = str(error) if isinstance(error, _KeySetError) else type(error).__name__
            held = len(self._keys or ())
            _log.warning("key set not fetched", extra={"fields": {"issuer": self._name, "reason": reason, "keys": held}})
        finally:
            self._fetching = None

    def _take(self, keys: tuple[PublicKey, ...]) -> None:
        before = {(key.id, key.algorithm): _numbers(key) for key in self._keys or ()}
        after = {(key.id, key.algorithm): _numbers(key) for key in keys}
        self._keys = keys
        self._failures = 0
        if before != after:
            _log.info("key set fetched", extra={"fields": {"issuer": self._name, "keys": len(keys)}})
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
    """The keys of a set that tokens can be verified with; others are passed over (RFC 7517, section 5).

    Raises `_KeySetError` where it is no set, or none of its keys can be used: then the last good one is better.
    """
    if reply.status != 200:
        raise _KeySetError(f"status {reply.status}")
    try:
        members = _document.decode(reply.body).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _KeySetError("no key set") from error
    keys = tuple(key for each in members[:_MOST_KEYS] if (key := _public_key(each)) is not None)
    if not keys:
        raise _KeySetError("no key of it can be used")
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
    # What is private of it, should an issuer publish that, is not taken.
    public = {name: value for name, value in member.items() if name in {"kty", "crv", "x", "y", "n", "e"}}
    try:
        # The library is large, and loaded only where there is a key set.
        key = jwt.PyJWK({**public, "alg": algorithm}).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
        return None
    if algorithm == "RS256" and key.key_size < _SHORTEST_RSA_BITS:
        return None  # RFC 7518, section 3.3
    return PublicKey(kid, algorithm, key)


def _algorithm(member: Mapping[str, Any]) -> str | None:
    """The algorithm that a key is for, by its kind and curve. What it says itself must agree."""
    for algorithm, kind in ALGORITHMS.items():
        curves = _CURVES.get(algorithm)
        if member.get("kty") == kind and (curves is None or member.get("crv") in curves):
            return algorithm if member.get("alg", algorithm) in {algorithm, "Ed25519", "Ed448"} else None
    return None
