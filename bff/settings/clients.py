"""The settings of clients: issuers of tokens, consumers with API keys, rates for all of them."""

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from bff.gate.auth import ClaimOptions, Confinement
from bff.gate.rate import RateOptions
from bff.settings.values import Digest, HttpUrl, Name, Names, Options, read_list


class RateSwitch(Options):
    """The switch for all rate limits and quotas."""

    enabled: bool = True


class IssuerSettings(Options):
    """An additional issuer of tokens, identified by their claim `iss`.

    If any of `variants`, `roles`, `scopes`, `subject_prefix` and `subject_namespace` is set, the issuer is confined: roles
    and scopes that are not listed are removed from its tokens.
    """

    issuer: str = Field(min_length=1)
    audience: str | None = None
    secret: SecretStr | None = Field(default=None, min_length=1)
    jwks_url: HttpUrl | None = None
    variants: Names | None = None
    roles: Annotated[tuple[str, ...], BeforeValidator(read_list)] | None = None
    scopes: Annotated[tuple[str, ...], BeforeValidator(read_list)] | None = None
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
            self.subject_prefix or "",
            self.subject_namespace or "",
        )


_CONFINES = frozenset({"variants", "roles", "scopes", "subject_prefix", "subject_namespace"})


class AuthSettings(Options):
    """The issuers of tokens, and the names of their claims."""

    issuers: dict[Name, IssuerSettings] = Field(default={}, max_length=50)
    claims: ClaimOptions = ClaimOptions()


class ConsumerSettings(Options):
    """A consumer: a program with an API key. It may have a `rate` of its own or a `tier` of `tiers`, but not both."""

    key_sha256: Annotated[tuple[Digest, ...], BeforeValidator(read_list), Field(min_length=1, max_length=10)]
    variants: Names
    scopes: Annotated[tuple[str, ...], BeforeValidator(read_list)] = ()
    tier: str | None = None
    rate: RateOptions | None = None


class RedisSettings(Options):
    """Shared state in Redis. `wait_s` is the longest total time that one request waits for Redis, in seconds."""

    wait_s: float = Field(default=0.25, gt=0, le=10)
