"""Consumers: programs that are known by name, as a partner's or a build of the app, by an API key in `X-API-Key`.

The settings hold a key's SHA-256 and never the key: a key is 256 random bits, which need no slow hash. A consumer may come
with a user's token or without; what the consumer may then is a bound to what the user may through it.
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
"""What a key begins with, so that scanners for leaked secrets know one when they see it."""

_LONGEST_KEY = 512
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Consumer:
    """A program that is known by name.

    Attributes:
        name: in logs and metrics.
        variants: where it may come in.
        scopes: what it may ask for, beyond what needs none.
        rate: how much it may ask for itself; None where only its users are counted, or it as anybody.
    """

    name: str
    variants: frozenset[str]
    scopes: frozenset[str] = frozenset()
    rate: RateOptions | None = None


class Consumers:
    """Who is known, by the digest of the key."""

    def __init__(self, by_digest: Mapping[str, Consumer]) -> None:
        self._by_digest = {bytes.fromhex(digest): consumer for digest, consumer in by_digest.items()}

    def __repr__(self) -> str:
        return f"<Consumers: {len(self._by_digest)} keys>"

    def identify(self, headers: Sequence[bytes]) -> Consumer | None:
        """Whose key was sent; None where none was. Raises `InvalidApiKey`."""
        if not headers:
            return None
        # Found by its digest: how long that takes tells nothing of the keys that there are.
        found = self._by_digest.get(sha256(headers[0]).digest()) if len(headers[0]) <= _LONGEST_KEY else None
        if found is None or len(headers) > 1:
            raise InvalidApiKey
        return found


def new_key() -> str:
    """A key that nobody has yet."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """What the settings hold of a key."""
    return sha256(key.encode()).hexdigest()


def is_digest(text: str) -> bool:
    """Whether it may be what the settings hold of a key."""
    return _DIGEST.match(text) is not None


def granted(token: Collection[str] | None, consumer: Consumer | None) -> frozenset[str]:
    """The scopes of a request: the token's, as far as the consumer has them too; of one alone, its own."""
    if consumer is None:
        return frozenset(token or ())
    return consumer.scopes if token is None else consumer.scopes & frozenset(token)
