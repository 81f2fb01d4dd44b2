"""Authentication: from the `Authorization` header to a viewer, or a refusal. A bad token never counts as no token.

Tokens are JSON web tokens (RFC 7519). The claim `iss` selects the issuer and so the keys that a token is checked with. The
key selects the algorithm, and never the token (RFC 8725, section 3.1): a secret is used with HS256 only, a key of a key set
with the one algorithm of its kind.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from sys import getsizeof
from typing import Any

import jwt
from jwt.warnings import InsecureKeyLengthWarning

from bff.errors import InvalidToken
from bff.gate.jwks import ALGORITHMS, KeySet
from bff.graph.context import Viewer
from bff.runtime.bounded_cache import ENTRY_BYTES, BoundedCache
from bff.runtime.options import options
from bff.upstream.caller import Identity

LEEWAY_S = 10
SHORTEST_SAFE_SECRET = 32
"""Bytes: the size of the hash of HS256 (RFC 7518, section 3.2)."""

_BY_SECRET = "HS256"  # noqa: S105 - an algorithm
_LONGEST_TOKEN = 8192
_MOST_CACHED_BYTES = 32 * 1024 * 1024
_VIEWER_BYTES = 700
"""Bytes of a cached token besides its text, roles and scopes. An estimate."""
_MOST_SCOPES = 100


@dataclass(frozen=True, slots=True)
class Confinement:
    """Limits on an issuer's tokens. Roles and scopes that are not listed are removed.

    Attributes:
        variants: in which its tokens may be used; None: in all.
        roles: the roles that its tokens may claim.
        scopes: the scopes that its tokens may claim.
        subject_prefix: with which a `sub` must begin; otherwise the token is refused.
        subject_namespace: prepended to each `sub`, so that it can't name a user of another issuer.
    """

    variants: frozenset[str] | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    subject_prefix: str = ""
    subject_namespace: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens are accepted, and how they are checked.

    Attributes:
        secret: for HS256; None if its tokens are not signed with a secret.
        keys: for the other algorithms; None if it has no key set.
        issuer: the value of `iss`; None: `iss` is not checked.
        audience: the value of `aud`; None: `aud` is not checked.
        confinement: limits on what its tokens may claim; None: they may claim anything.
    """

    secret: str | None = field(default=None, repr=False)
    keys: KeySet | None = None
    issuer: str | None = None
    audience: str | None = None
    confinement: Confinement | None = None

    @property
    def required(self) -> list[str]:
        """The claims that a token must have."""
        return ["exp", "sub"] + (["iss"] if self.issuer else []) + (["aud"] if self.audience else [])


@options
class ClaimOptions:
    """The claims that hold roles and scopes. A name that is no claim is read as a path of names separated by dots.

    Attributes:
        roles: an array of roles.
        role: one role.
        scopes: an array of scopes, or one string of scopes separated by spaces (RFC 8693, section 4.2).
    """

    roles: str = "roles"
    role: str = "role"
    scopes: str = "scope"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The bearer of a verified token, for the graph and for the services.

    `variants` are those in which the token may be used; None: in all.
    """

    viewer: Viewer
    identity: Identity
    variants: frozenset[str] | None = None

    def may_use(self, variant: str) -> bool:
        """Whether the token may be used in that variant."""
        return self.variants is None or variant in self.variants


class Authenticator:
    """Checks tokens. Made once, at start-up. A good token is cached by its hash until it expires."""

    def __init__(
        self, issuers: Sequence[Issuer], claims: ClaimOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._claims = claims or ClaimOptions()
        self._cache: BoundedCache[bytes, tuple[float, SignedIn]] = BoundedCache(max_weight=_MOST_CACHED_BYTES)
        self._named = {each.issuer: each for each in issuers if each.issuer is not None}
        self._default = next((each for each in issuers if each.issuer is None), None)
        self._jwt = jwt.PyJWT()
        short = [each.secret for each in issuers if each.secret and len(each.secret.encode()) < SHORTEST_SAFE_SECRET]
        self._quiet = _without_key_warning if short else nullcontext

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
        sub = claims["sub"]
        if not isinstance(sub, str) or not sub:
            raise InvalidToken("sub is missing or no string")
        viewer = Viewer(sub, roles_of(claims, self._claims), scopes_of(claims, self._claims))
        variants = None
        if issuer.confinement is not None:
            viewer, variants = confined(viewer, issuer.confinement), issuer.confinement.variants
        return int(claims["exp"]) + LEEWAY_S, SignedIn(viewer, Identity(viewer.sub, f"Bearer {token}"), variants)

    async def _verify(self, token: str) -> tuple[dict[str, Any], Issuer]:
        """The claims and the issuer of a token. Raises `InvalidToken`."""
        if len(token) > _LONGEST_TOKEN or not (token.isascii() and token.isprintable()):  # it is forwarded unchanged
            raise InvalidToken("not a JSON web token")
        try:
            unverified = jwt.decode_complete(token, options={"verify_signature": False})
            issuer = self._issuer_of(unverified["payload"])
            key, algorithm = await self._key_of(issuer, unverified["header"])
            return self._decode(token, issuer, key, algorithm), issuer
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
    async def _key_of(issuer: Issuer, header: Mapping[str, Any]) -> tuple[Any, str]:
        """The key to check the signature with, and its algorithm. The token's `alg` must be the same."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == _BY_SECRET and issuer.secret is not None:
            return issuer.secret, _BY_SECRET
        if algorithm in ALGORITHMS and issuer.keys is not None and isinstance(kid, str | None):
            key = await issuer.keys.find(kid, algorithm)
            if key is None:
                raise InvalidToken("its key is not known")
            return key.key, key.algorithm
        raise InvalidToken("its signature or form is wrong")

    def _decode(self, token: str, issuer: Issuer, key: Any, algorithm: str) -> dict[str, Any]:
        try:
            with self._quiet():
                claims: dict[str, Any] = self._jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    issuer=issuer.issuer,
                    audience=issuer.audience,
                    leeway=LEEWAY_S,
                    options={
                        "require": issuer.required,
                        "verify_aud": issuer.audience is not None,
                        "verify_iat": False,  # clocks differ, so a token may seem to be issued in the future
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


def roles_of(claims: Mapping[str, Any], options: ClaimOptions) -> frozenset[str]:
    """The roles in the array and in the string. Values of other types are ignored."""
    roles, role = _claim(claims, options.roles), _claim(claims, options.role)
    found = {each for each in roles if isinstance(each, str)} if isinstance(roles, list) else set()
    if isinstance(role, str):
        found.add(role)
    return frozenset(found)


def scopes_of(claims: Mapping[str, Any], options: ClaimOptions) -> frozenset[str] | None:
    """The scopes; None if the token has no claim of scopes."""
    scopes = _claim(claims, options.scopes)
    if scopes is None:
        return None
    if isinstance(scopes, str):
        scopes = scopes.split()
    if not isinstance(scopes, list):
        return frozenset()
    return frozenset(each for each in scopes[:_MOST_SCOPES] if isinstance(each, str))


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
