"""The settings of clients: issuers of tokens, consumers with API keys, rates for all of them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, StrictBool, StrictInt, StrictStr

from bff.gate.auth import LEEWAY_S, Confinement
from bff.gate.claims import ClaimOptions
from bff.gate.rate import RateOptions
from bff.settings.values import AS_LIST, AS_TABLE, Digest, HttpUrl, Name, Names, Options


def _comma_joined(value: Any) -> Any:
    return ",".join(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else value


Audience = Annotated[str, BeforeValidator(_comma_joined)]
"""One audience, or several separated by commas; in the file it may also be a list."""

Secrets = Annotated[tuple[Annotated[SecretStr, Field(min_length=1)], ...], AS_LIST, Field(max_length=5)]

_Value = StrictStr | StrictInt | StrictBool
RequiredClaims = Annotated[dict[str, _Value | tuple[_Value, ...]], AS_TABLE, Field(max_length=20)]


class RateSwitch(Options):
    """The switch for all rate limits and quotas."""

    enabled: bool = True


class IssuerSettings(Options):
    """An additional issuer of tokens, identified by their claim `iss`.

    Without `secret` and `jwks_url` the issuer itself says where its keys are (OpenID Connect Discovery 1.0). `claims` are in
    place of the gateway's. `previous_secrets` are accepted too, while a secret is replaced.

    If any of `variants`, `roles`, `scopes`, `tiers`, `subject_prefix` and `subject_namespace` is set, the issuer is
    confined: roles, scopes and tiers that are not listed are removed from its tokens.
    """

    issuer: str | None = Field(default=None, min_length=1)
    audience: Audience | None = None
    secret: SecretStr | None = Field(default=None, min_length=1)
    previous_secrets: Secrets = ()
    jwks_url: HttpUrl | None = None
    claims: ClaimOptions | None = None
    required: RequiredClaims = Field(default={})
    variants: Names | None = None
    roles: Annotated[tuple[str, ...], AS_LIST] | None = None
    scopes: Annotated[tuple[str, ...], AS_LIST] | None = None
    tiers: Annotated[tuple[str, ...], AS_LIST] | None = None
    subject_prefix: str | None = Field(default=None, min_length=1, max_length=128)
    subject_namespace: str | None = Field(default=None, min_length=1, max_length=128)

    def confinement(self) -> Confinement | None:
        """The limits of its tokens; None if none is set."""
        if not self.model_fields_set & _CONFINES:
            return None
        return Confinement(
            None if self.variants is None else frozenset(self.variants),
            frozenset(self.roles or ()),
            frozenset(self.scopes or ()),
            frozenset(self.tiers or ()),
            self.subject_prefix or "",
            self.subject_namespace or "",
        )


_CONFINES = frozenset({"variants", "roles", "scopes", "tiers", "subject_prefix", "subject_namespace"})


class AuthSettings(Options):
    """The issuers of tokens, and the names of their claims.

    `required` and `previous_secrets` are those of the issuer that `JWT_SECRET`, `JWKS_URL` and `JWT_ISSUER` describe.
    """

    issuers: dict[Name, IssuerSettings] = Field(default={}, max_length=50)
    claims: ClaimOptions = ClaimOptions()
    required: RequiredClaims = Field(default={})
    previous_secrets: Secrets = ()
    leeway_s: int = Field(default=LEEWAY_S, ge=0, le=300)


class ConsumerSettings(Options):
    """A consumer: a program with an API key. It may have a `rate` of its own or a `tier` of `tiers`, but not both."""

    key_sha256: Annotated[tuple[Digest, ...], AS_LIST, Field(min_length=1, max_length=10)]
    variants: Names
    scopes: Annotated[tuple[str, ...], AS_LIST] = ()
    tier: str | None = None
    rate: RateOptions | None = None


class RedisSettings(Options):
    """Shared state in Redis. `wait_s` is the longest total time that one request waits for Redis, in seconds."""

    wait_s: float = Field(default=0.25, gt=0, le=10)
