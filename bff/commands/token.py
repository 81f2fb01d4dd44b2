"""Development tokens. `bff dev` and `bff token` share a public secret. `bff serve` has no default secret."""

import time
from collections.abc import Sequence

import jwt
from pydantic import SecretStr

from bff.settings import Settings

DEV_SECRET = "for-development-only-and-known-to-everybody"  # noqa: S105 - public on purpose


def with_secret(settings: Settings) -> Settings:
    """The settings, with the development secret if they have none."""
    if settings.jwt_secret is not None:
        return settings
    return settings.model_copy(update={"jwt_secret": SecretStr(DEV_SECRET)})


def make(settings: Settings, *, sub: str, role: str | None = None, roles: Sequence[str] = (), ttl_s: int = 86_400) -> str:
    """A token for `sub` that a gateway with these settings accepts, valid for `ttl_s` seconds."""
    if settings.jwt_secret is None:
        raise ValueError("no secret to sign with")
    now = int(time.time())
    claims: dict[str, object] = {"sub": sub, "iat": now, "exp": now + ttl_s}
    if role is not None or roles:
        claims["roles"] = [*roles, *([] if role is None else [role])]
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256")
