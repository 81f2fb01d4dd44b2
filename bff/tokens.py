"""Development tokens. `bff dev` and `bff token` share a secret that everybody knows; `bff serve` never takes it."""

import time
from collections.abc import Mapping

import jwt

from bff.settings import Settings

DEV_SECRET = "for-development-only-and-known-to-everybody"  # noqa: S105 - it protects nothing, and says so


def with_secret(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the development secret where it has none."""
    has_secret = environment.get("JWT_SECRET") or environment.get("BFF_JWT_SECRET")
    return {**environment} if has_secret else {**environment, "JWT_SECRET": DEV_SECRET}


def make(settings: Settings, *, sub: str, role: str | None = None, ttl_s: int = 86_400) -> str:
    """A token for `sub` that the gateway with those settings takes, for `ttl_s` seconds."""
    if settings.jwt_secret is None:
        raise ValueError("no secret to sign with")
    now = int(time.time())
    claims: dict[str, object] = {"sub": sub, "iat": now, "exp": now + ttl_s}
    if role is not None:
        claims["roles"] = [role]
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256")
