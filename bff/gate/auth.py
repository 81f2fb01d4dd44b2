"""Who asks: from the `Authorization` header to a viewer, or a refusal. A bad token is never taken for none.

HS256 with a shared secret (RFC 7519, RFC 7518 section 3.2); the algorithm is fixed, whatever the token says of itself.
"""

import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import jwt
from jwt.warnings import InsecureKeyLengthWarning

from bff.errors import InvalidToken
from datasources.caller import Identity
from schema.context import Viewer

LEEWAY_S = 10
SHORTEST_SAFE_SECRET = 32
"""Bytes, as many as HS256's hash has (RFC 7518, section 3.2)."""

_LONGEST_TOKEN = 8192
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class AuthOptions:
    """How tokens are checked. `issuer` and `audience` are looked at where they are set."""

    secret: str
    issuer: str | None = None
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A verified token's bearer, as the graph and as the services know them."""

    viewer: Viewer
    identity: Identity


class Authenticator:
    """Checks tokens. Bound at start-up. Whom a good token speaks for is known until it expires, by the token's hash."""

    def __init__(self, options: AuthOptions, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, SignedIn]] = OrderedDict()
        self._options = options
        self._jwt = jwt.PyJWT()
        self._quiet = _without_key_warning if len(options.secret.encode()) < SHORTEST_SAFE_SECRET else nullcontext
        self._required = ["exp", "sub"] + (["iss"] if options.issuer else []) + (["aud"] if options.audience else [])

    def __repr__(self) -> str:
        return "Authenticator(HS256)"

    def authenticate(self, headers: list[bytes]) -> SignedIn | None:
        """Who the `Authorization` headers speak for; None where there are none. Raises `InvalidToken`."""
        if not headers:
            return None
        if len(headers) > 1:
            raise InvalidToken("expected one Authorization header")
        digest = sha256(headers[0]).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0]:
            self._known.move_to_end(digest)
            return known[1]
        self._known.pop(digest, None)
        until, signed_in = self._read(headers[0])
        self._known[digest] = (until, signed_in)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return signed_in

    def _read(self, header: bytes) -> tuple[float, SignedIn]:
        """Until when, in seconds since the epoch, whom the header speaks for."""
        scheme, _, token = header.decode("latin-1").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or " " in token:
            raise InvalidToken("expected 'Bearer' and a token")
        claims = self._verify(token)
        sub = claims["sub"]
        if not isinstance(sub, str) or not sub:
            raise InvalidToken("sub is missing or no string")
        signed_in = SignedIn(Viewer(sub, roles_of(claims)), Identity(sub, f"Bearer {token}"))
        return int(claims["exp"]) + LEEWAY_S, signed_in

    def _verify(self, token: str) -> dict[str, Any]:
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            raise InvalidToken("not a JSON web token")
        try:
            with self._quiet():
                claims: dict[str, Any] = self._jwt.decode(
                    token,
                    self._options.secret,
                    algorithms=["HS256"],
                    issuer=self._options.issuer,
                    audience=self._options.audience,
                    leeway=LEEWAY_S,
                    options={
                        "require": self._required,
                        "verify_aud": self._options.audience is not None,
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
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InvalidToken("its signature or form is wrong") from error
        return claims


@contextmanager
def _without_key_warning() -> Iterator[None]:
    """Said once, at the start, and not again at each request."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        yield


def roles_of(claims: dict[str, Any]) -> frozenset[str]:
    """The roles in `roles`, an array, and `role`, one string; whatever else stands there gives none."""
    roles = claims.get("roles")
    found = {role for role in roles if isinstance(role, str)} if isinstance(roles, list) else set()
    role = claims.get("role")
    if isinstance(role, str):
        found.add(role)
    return frozenset(found)
