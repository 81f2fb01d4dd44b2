"""Consumers: client programs that are identified by an API key in `X-API-Key`, as a partner's system or a build of the app.

The settings hold a key's SHA-256 and never the key. A key is 256 random bits, so a fast hash is enough. A request may have
an API key, a user's token, or both. With both, the consumer's scopes limit what the user may do through it.
"""

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from bff.errors import InvalidApiKey
from bff.gate.rate import RateOptions

HEADER = b"x-api-key"
PREFIX = "bff_"
"""The beginning of every key, so that scanners for leaked secrets recognize one."""

_LONGEST_KEY = 512
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Consumer:
    """A client program with an API key.

    Attributes:
        name: as in the settings and in the access log.
        variants: the variants that it may use.
        scopes: the scopes that its requests have.
        rate: its own rate limits, which apply to all of its requests together. None: requests with a user's token are
            charged to the user alone, and others to the consumer by the variant's limits.
    """

    name: str
    variants: frozenset[str]
    scopes: frozenset[str] = frozenset()
    rate: RateOptions | None = None


class Consumers:
    """All consumers, by the digests of their keys."""

    def __init__(self, by_digest: Mapping[str, Consumer]) -> None:
        self._by_digest = {bytes.fromhex(digest): consumer for digest, consumer in by_digest.items()}

    def __repr__(self) -> str:
        return f"<Consumers: {len(self._by_digest)} keys>"

    def identify(self, headers: Sequence[bytes]) -> Consumer | None:
        """The consumer whose key was sent; None if no key was sent. Raises `InvalidApiKey`."""
        if not headers:
            return None
        # Looked up by digest, so the time of the lookup tells nothing about the keys that exist.
        found = self._by_digest.get(sha256(headers[0]).digest()) if len(headers[0]) <= _LONGEST_KEY else None
        if found is None or len(headers) > 1:
            raise InvalidApiKey
        return found


def new_key() -> str:
    """A new random key."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """A key's digest, as the settings hold it: SHA-256 in hexadecimal digits."""
    return sha256(key.encode()).hexdigest()


def is_digest(text: str) -> bool:
    """Whether the text has the form of a digest."""
    return _DIGEST.match(text) is not None


def granted(token: Collection[str] | None, consumer: Consumer | None) -> frozenset[str]:
    """The scopes of a request: those that both the token and the consumer have, or those of the only one that is given."""
    if consumer is None:
        return frozenset(token or ())
    return consumer.scopes if token is None else consumer.scopes & frozenset(token)
