"""Who asks: from the `Authorization` header to a viewer, or a refusal. A bad token is never taken for none.

Tokens are JSON web tokens (RFC 7519). Which issuer's keys a token is checked with is decided by its `iss`; which algorithms
they take, by the key and never by the token (RFC 8725, section 3.1): a secret is for HS256 alone, a key of a set for the one
algorithm of its kind.
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
"""Bytes, as many as HS256's hash has (RFC 7518, section 3.2)."""

_BY_SECRET = "HS256"  # noqa: S105 - an algorithm
_LONGEST_TOKEN = 8192
_MOST_KNOWN_BYTES = 32 * 1024 * 1024
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
    """Whose tokens are taken, and how they are checked. `issuer` and `audience` are looked at where they are set.

    `confinement` is None if the issuer may claim anything.
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
    """In which claims roles and scopes stand. A name that is no claim is taken for a path, parted by dots.

    Attributes:
        roles: an array of roles.
        role: one role.
        scopes: an array of scopes, or one string with blanks between them (RFC 8693, section 4.2).
    """

    roles: str = "roles"
    role: str = "role"
    scopes: str = "scope"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A verified token's bearer, for the graph and for the services. `variants`: where it may be used; None: in all."""

    viewer: Viewer
    identity: Identity
    variants: frozenset[str] | None = None

    def may_use(self, variant: str) -> bool:
        """Whether the token may be used in that variant."""
        return self.variants is None or variant in self.variants


class Authenticator:
    """Checks tokens. Bound at start-up. Whom a good token speaks for is known until it expires, by the token's hash."""

    def __init__(
        self, issuers: Sequence[Issuer], claims: ClaimOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._claims = claims or ClaimOptions()
        self._known: BoundedCache[bytes, tuple[float, SignedIn]] = BoundedCache(max_weight=_MOST_KNOWN_BYTES)
        self._named = {each.issuer: each for each in issuers if each.issuer is not None}
        self._default = next((each for each in issuers if each.issuer is None), None)
        self._jwt = jwt.PyJWT()
        short = [each.secret for each in issuers if each.secret and len(each.secret.encode()) < SHORTEST_SAFE_SECRET]
        self._quiet = _without_key_warning if short else nullcontext

    def __repr__(self) -> str:
        return f"<Authenticator of {len(self._named) + (self._default is not None)} issuers, {len(self._known)} known>"

    def forget(self) -> None:
        """Check every token anew: a key that some were checked with is good no longer."""
        self._known.clear()

    async def authenticate(self, headers: Sequence[bytes]) -> SignedIn | None:
        """Who the `Authorization` headers speak for; None where there are none. Raises `InvalidToken`, `KeysUnavailable`."""
        if not headers:
            return None
        if len(headers) > 1:
            raise InvalidToken("expected one Authorization header")
        digest = sha256(headers[0]).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0]:
            return known[1]
        self._known.drop(digest)
        until, signed_in = await self._read(headers[0])
        self._known.put(digest, (until, signed_in), _weight(signed_in))
        return signed_in

    async def _read(self, header: bytes) -> tuple[float, SignedIn]:
        """Until when, in seconds since the epoch, whom the header speaks for."""
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
        """The claims and the issuer of a token."""
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
        """Whose the token says it is. Its signature will have to bear that out."""
        name = claims.get("iss")
        found = self._named.get(name, self._default) if isinstance(name, str) else self._default
        if found is None and len(self._named) == 1:
            (found,) = self._named.values()  # which says what is wrong with it
        if found is None:
            raise InvalidToken("it is of another issuer")
        return found

    @staticmethod
    async def _key_of(issuer: Issuer, header: Mapping[str, Any]) -> tuple[Any, str]:
        """What to check the signature with. The algorithm is the key's own; the token may only agree."""
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
                        "verify_iat": False,  # when it was issued is not for us to judge: clocks differ
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
    """Said once, at the start, and not again at each request."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        yield


def confined(viewer: Viewer, to: Confinement) -> Viewer:
    """The viewer within the issuer's limits. Raises `InvalidToken` if the issuer may not have this subject."""
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
    """The roles in the array and in the one string; whatever else stands there gives none."""
    roles, role = _claim(claims, options.roles), _claim(claims, options.role)
    found = {each for each in roles if isinstance(each, str)} if isinstance(roles, list) else set()
    if isinstance(role, str):
        found.add(role)
    return frozenset(found)


def scopes_of(claims: Mapping[str, Any], options: ClaimOptions) -> frozenset[str] | None:
    """The scopes; None where the token doesn't speak of any."""
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
