"""Wires what identifies clients: the issuers of tokens and the consumers with API keys."""

from collections.abc import Mapping

from bff.gate.auth import SHORTEST_SAFE_SECRET, Authenticator, Issuer
from bff.gate.consumers import Consumer, Consumers
from bff.gate.jwks import KeySet, KeySetPlace
from bff.runtime.log import Log
from bff.settings import Settings
from bff.settings.clients import IssuerSettings

DEFAULT_ISSUER = "default"
"""The name of the issuer that `JWT_SECRET`, `JWKS_URL`, `JWT_ISSUER` and `JWT_AUDIENCE` describe, in logs."""

_log = Log("bff.app")


def issuers_of(settings: Settings) -> dict[str, IssuerSettings]:
    """All issuers by name, also the one that `JWT_SECRET`, `JWKS_URL`, `JWT_ISSUER` and `JWT_AUDIENCE` describe."""
    issuers = dict(settings.auth.issuers)
    if settings.jwt_secret is not None or settings.jwks_url is not None or settings.jwt_issuer is not None:
        issuers[DEFAULT_ISSUER] = IssuerSettings(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            secret=settings.jwt_secret,
            previous_secrets=settings.auth.previous_secrets,
            jwks_url=settings.jwks_url,
            required=settings.auth.required,
        )
    return issuers


def key_set_places(settings: Settings) -> dict[str, KeySetPlace]:
    """Where the key sets are, by the issuer's name. An issuer without secret and URL is asked where its keys are."""
    places = {}
    for name, each in issuers_of(settings).items():
        if each.jwks_url is not None:
            places[name] = KeySetPlace(url=each.jwks_url)
        elif each.secret is None and each.issuer is not None:
            places[name] = KeySetPlace(issuer=each.issuer)
    return places


def authenticator_of(settings: Settings, key_sets: Mapping[str, KeySet]) -> Authenticator:
    """What checks the tokens of all issuers. `key_sets` are those at `key_set_places`, by the issuer's name."""
    issuers = []
    for name, each in issuers_of(settings).items():
        given = () if each.secret is None else (each.secret, *each.previous_secrets)
        secrets = tuple(secret.get_secret_value() for secret in given)
        if any(len(secret.encode()) < SHORTEST_SAFE_SECRET for secret in secrets):
            _log.warning("JWT_SECRET is short", issuer=name, bytes_wanted=SHORTEST_SAFE_SECRET)
        issuers.append(
            Issuer(
                secrets,
                key_sets.get(name),
                each.issuer,
                tuple(part for part in (each.audience or "").split(",") if part),
                each.claims or settings.auth.claims,
                each.required,
                each.confinement(),
            )
        )
    return Authenticator(issuers, leeway_s=settings.auth.leeway_s)


def consumers_of(settings: Settings) -> Consumers:
    """The consumers by their keys, each with the rate of its tier."""
    by_digest = {}
    for name, each in settings.consumers.items():
        rate = settings.tiers[each.tier] if each.tier is not None else each.rate
        consumer = Consumer(name, frozenset(each.variants), frozenset(each.scopes), rate)
        by_digest.update(dict.fromkeys(each.key_sha256, consumer))
    return Consumers(by_digest)
