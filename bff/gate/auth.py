"""Authentication: from the `Authorization` header to a viewer, or a refusal. A bad token never counts as no token.

Tokens are JSON web tokens (RFC 7519). The claim `iss` selects the issuer and so the keys that a token is checked with. The
key selects the algorithm, and never the token (RFC 8725, section 3.1): a secret is used with HS256 only, a key of a key set
with the one algorithm of its kind.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from sys import getsizeof
from typing import Any

import jwt
from jwt.warnings import InsecureKeyLengthWarning

from bff.errors import InvalidToken
from bff.gate.claims import ClaimOptions, Required, check_required, roles_of, scopes_of, tier_of, user_id_of
from bff.gate.jwks import ALGORITHMS, KeySet
from bff.graph.context import Viewer
from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache
from bff.upstream.caller import Identity

LEEWAY_S = 10
SHORTEST_SAFE_SECRET = 32
"""Bytes: the size of the hash of HS256 (RFC 7518, section 3.2)."""

_BY_SECRET = "HS256"  # noqa: S105 - an algorithm
_LONGEST_TOKEN = 8192
_MOST_CACHED_BYTES = 32 * 1024 * 1024
_VIEWER_BYTES = 700
"""Bytes of a cached token besides its text, roles and scopes. An estimate."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """Limits on an issuer's tokens. Roles and scopes that are not listed are removed.

    Attributes:
        variants: in which its tokens may be used; None: in all.
        roles: the roles that its tokens may claim.
        scopes: the scopes that its tokens may claim.
        tiers: the tiers that its tokens may name.
        subject_prefix: with which a `sub` must begin; otherwise the token is refused.
        subject_namespace: prepended to each `sub`, so that it can't name a user of another issuer.
    """

    variants: frozenset[str] | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    subject_prefix: str = ""
    subject_namespace: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens are accepted, and how they are checked.

    Attributes:
        secrets: for HS256, each of which is tried; empty if its tokens are not signed with a secret.
        keys: for the other algorithms; None if it has no key set.
        issuer: the value of `iss`; None: `iss` is not checked.
        audience: the values of `aud` of which one is needed; empty: `aud` is not checked.
        claims: the claims that hold the user's id, roles and scopes.
        required: the claims that must have certain values.
        confinement: limits on what its tokens may claim; None: they may claim anything.
    """

    secrets: tuple[str, ...] = field(default=(), repr=False)
    keys: KeySet | None = None
    issuer: str | None = None
    audience: tuple[str, ...] = ()
    claims: ClaimOptions = field(default_factory=ClaimOptions)
    required: Required = field(default_factory=dict)
    confinement: Confinement | None = None

    @property
    def expected_claims(self) -> list[str]:
        """The claims without which no token can be checked."""
        return ["exp"] + (["iss"] if self.issuer else []) + (["aud"] if self.audience else [])


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The bearer of a verified token, for the graph and for the services.

    `variants` are those in which the token may be used; None: in all. `tier` is the one that the token names, if any.
    """

    viewer: Viewer
    identity: Identity
    variants: frozenset[str] | None = None
    tier: str | None = None

    def may_use(self, variant: str) -> bool:
        """Whether the token may be used in that variant."""
        return self.variants is None or variant in self.variants


class Authenticator:
    """Checks tokens. Made once, at start-up. A good token is cached by its hash until it expires."""

    def __init__(
        self, issuers: Sequence[Issuer], *, leeway_s: int = LEEWAY_S, clock: Callable[[], float] = time.time
    ) -> None:
        """`leeway_s` is how far the clocks of issuers may differ from ours."""
        self._clock = clock
        self._leeway_s = leeway_s
        self._cache: BoundedCache[bytes, tuple[float, SignedIn]] = BoundedCache(max_weight=_MOST_CACHED_BYTES)
        self._named = {each.issuer: each for each in issuers if each.issuer is not None}
        self._default = next((each for each in issuers if each.issuer is None), None)
        self._jwt = jwt.PyJWT()
        secrets = [secret for each in issuers for secret in each.secrets]
        is_any_short = any(len(secret.encode()) < SHORTEST_SAFE_SECRET for secret in secrets)
        self._quiet = _without_key_warning if is_any_short else nullcontext

    def __repr__(self) -> str:
        issuers = len(self._named) + (self._default is not None)
        return f"<Authenticator of {issuers} issuers, {len(self._cache)} tokens cached>"

    def forget(self) -> None:
        """Empty the cache, because a key was withdrawn: every token is checked again."""
        self._cache.clear()

    async def authenticate(self, headers: Sequence[bytes]) -> SignedIn | None:
        """The bearer of the token in the `Authorization` headers; None if there is no header.

        Raises `InvalidToken`, and `KeysUnavailable` if the issuer's key set could not be fetched yet.
        """
        if not headers:
            return None
        if len(headers) > 1:
            raise InvalidToken("expected one Authorization header, got several")
        digest = sha256(headers[0]).digest()
        cached = self._cache.get(digest)
        if cached is not None and self._clock() < cached[0]:
            return cached[1]
        self._cache.drop(digest)
        expires_at, signed_in = await self._read(headers[0])
        self._cache.put(digest, (expires_at, signed_in), _weight(signed_in))
        return signed_in

    async def _read(self, header: bytes) -> tuple[float, SignedIn]:
        """When the token expires, in seconds since 1970 with the leeway added, and its bearer. Raises `InvalidToken`."""
        scheme, _, token = header.decode("latin-1").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or " " in token:
            raise InvalidToken("expected 'Bearer' and a token")
        claims, issuer = await self._verify(token)
        check_required(claims, issuer.required)
        names = issuer.claims
        viewer = Viewer(user_id_of(claims, names), roles_of(claims, names), scopes_of(claims, names))
        variants, tier = None, tier_of(claims, names)
        if issuer.confinement is not None:
            viewer, variants = confined(viewer, issuer.confinement), issuer.confinement.variants
            tier = tier if tier in issuer.confinement.tiers else None
        identity = Identity(viewer.sub, f"Bearer {token}")
        return int(claims["exp"]) + self._leeway_s, SignedIn(viewer, identity, variants, tier)

    async def _verify(self, token: str) -> tuple[dict[str, Any], Issuer]:
        """The claims and the issuer of a token. Raises `InvalidToken`."""
        if len(token) > _LONGEST_TOKEN or not (token.isascii() and token.isprintable()):  # it is forwarded unchanged
            raise InvalidToken("not a JSON web token")
        try:
            unverified = jwt.decode_complete(token, options={"verify_signature": False})
            issuer = self._issuer_of(unverified["payload"])
            keys, algorithm = await self._keys_of(issuer, unverified["header"])
            return self._decode(token, issuer, keys, algorithm), issuer
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InvalidToken("its signature or form is wrong") from error

    def _issuer_of(self, claims: Mapping[str, Any]) -> Issuer:
        """The issuer that the token names. Its signature, which is checked next, has to prove it."""
        name = claims.get("iss")
        found = self._named.get(name, self._default) if isinstance(name, str) else self._default
        if found is None and len(self._named) == 1:
            (found,) = self._named.values()  # the check of `iss` or of the signature then gives the reason
        if found is None:
            raise InvalidToken("it is of another issuer")
        return found

    @staticmethod
    async def _keys_of(issuer: Issuer, header: Mapping[str, Any]) -> tuple[Sequence[Any], str]:
        """The keys to check the signature with, and their algorithm. The token's `alg` must be the same."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == _BY_SECRET and issuer.secrets:
            return issuer.secrets, _BY_SECRET
        if algorithm in ALGORITHMS and issuer.keys is not None and isinstance(kid, str | None):
            key = await issuer.keys.find(kid, algorithm)
            if key is None:
                raise InvalidToken("its key is not known")
            return (key.key,), key.algorithm
        raise InvalidToken("its signature or form is wrong")

    def _decode(self, token: str, issuer: Issuer, keys: Sequence[Any], algorithm: str) -> dict[str, Any]:
        """The claims of a token that one of the keys verifies. Raises `InvalidToken`, `jwt.PyJWTError`."""
        *others, last = keys
        for key in others:  # while a secret is replaced, there are two
            with suppress(jwt.InvalidSignatureError):
                return self._decode_with(token, issuer, key, algorithm)
        return self._decode_with(token, issuer, last, algorithm)

    def _decode_with(self, token: str, issuer: Issuer, key: Any, algorithm: str) -> dict[str, Any]:
        try:
            with self._quiet():
                claims: dict[str, Any] = self._jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    issuer=issuer.issuer,
                    audience=issuer.audience or None,
                    leeway=self._leeway_s,
                    options={
                        "require": issuer.expected_claims,
                        "verify_aud": bool(issuer.audience),
                        "verify_iat": False,  # clocks differ, so a token may seem to be issued in the future
                        "verify_sub": False,  # the claim with the user's id is checked instead
                    },
                )
        except jwt.ExpiredSignatureError as error:
            raise InvalidToken("it has expired") from error
        except jwt.ImmatureSignatureError as error:
            raise InvalidToken("it is not valid yet") from error
        except jwt.MissingRequiredClaimError as error:
            raise InvalidToken(f"{error.claim} is missing") from error
        except jwt.InvalidIssuerError as error:
            raise InvalidToken("it is of another issuer") from error
        except jwt.InvalidAudienceError as error:
            raise InvalidToken("it is for another audience") from error
        return claims


@contextmanager
def _without_key_warning() -> Iterator[None]:
    """Suppress PyJWT's warning of a short secret: it is logged once, at start-up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        yield


def confined(viewer: Viewer, to: Confinement) -> Viewer:
    """The viewer within the issuer's limits. Raises `InvalidToken` if the issuer may not claim this subject."""
    if not viewer.sub.startswith(to.subject_prefix):
        raise InvalidToken("its issuer may not speak for its subject")
    scopes = None if viewer.scopes is None else viewer.scopes & to.scopes
    return Viewer(to.subject_namespace + viewer.sub, viewer.roles & to.roles, scopes)


def _weight(signed_in: SignedIn) -> int:
    """The memory of a cached token, in bytes. An estimate."""
    viewer = signed_in.viewer
    names = viewer.roles | (viewer.scopes or frozenset())
    texts = (viewer.sub, signed_in.identity.authorization, *names)
    return ENTRY_BYTES + _VIEWER_BYTES + 2 * getsizeof(names) + sum(map(getsizeof, texts))
