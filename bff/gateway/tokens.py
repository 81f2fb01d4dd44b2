"""Wires what identifies clients: the issuers of tokens and the consumers with API keys."""

from collections.abc import Mapping

from pydantic import SecretStr

from bff.gate.auth import SHORTEST_SAFE_SECRET, Authenticator, Confinement, Issuer
from bff.gate.consumers import Consumer, Consumers
from bff.gate.jwks import KeySet
from bff.runtime.log import Log
from bff.settings import Settings

DEFAULT_ISSUER = "default"
"""The name of the issuer that `JWT_SECRET`, `JWKS_URL`, `JWT_ISSUER` and `JWT_AUDIENCE` describe, in logs."""

_log = Log("bff.app")


def key_set_urls(settings: Settings) -> dict[str, str]:
    """The URLs of key sets by the issuer's name."""
    urls = {name: each.jwks_url for name, each in settings.auth.issuers.items()}
    return {name: url for name, url in (*urls.items(), (DEFAULT_ISSUER, settings.jwks_url)) if url is not None}


def authenticator_of(settings: Settings, key_sets: Mapping[str, KeySet]) -> Authenticator:
    """What checks the tokens of all issuers. `key_sets` are those at `key_set_urls`, by the issuer's name."""

    def issuer(
        name: str,
        secret: SecretStr | None,
        issuer: str | None,
        audience: str | None,
        confinement: Confinement | None = None,
    ) -> Issuer:
        text = None if secret is None else secret.get_secret_value()
        if text is not None and len(text.encode()) < SHORTEST_SAFE_SECRET:
            _log.warning("JWT_SECRET is short", issuer=name, bytes_wanted=SHORTEST_SAFE_SECRET)
        return Issuer(text, key_sets.get(name), issuer, audience, confinement)

    issuers = [
        issuer(name, each.secret, each.issuer, each.audience, each.confinement())
        for name, each in settings.auth.issuers.items()
    ]
    if settings.jwt_secret is not None or settings.jwks_url is not None:
        issuers.append(issuer(DEFAULT_ISSUER, settings.jwt_secret, settings.jwt_issuer, settings.jwt_audience))
    return Authenticator(issuers, settings.auth.claims)


def consumers_of(settings: Settings) -> Consumers:
    """The consumers by their keys, each with the rate of its tier."""
    by_digest = {}
    for name, each in settings.consumers.items():
        rate = settings.tiers[each.tier] if each.tier is not None else each.rate
        consumer = Consumer(name, frozenset(each.variants), frozenset(each.scopes), rate)
        by_digest.update(dict.fromkeys(each.key_sha256, consumer))
    return Consumers(by_digest)
