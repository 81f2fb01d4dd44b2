"""Required and contradictory settings."""

from collections.abc import Iterator

from bff.app import App
from bff.gate.jwks import is_safe_url
from bff.gateway.routes import route_faults
from bff.settings import Settings
from bff.settings.sources import ServiceSettings

_NO_DISCOVERY = "no token can be checked: expected an issuer with https, which says where its keys are,"


def faults_of(app: App, settings: Settings) -> list[str]:
    """One line for each required setting that is missing, and for each setting that contradicts another."""
    checks = (
        _services(app, settings),
        _issuers(settings),
        _identities(app, settings),
        _consumers(settings),
        _tiers(settings),
        route_faults(app, settings),
    )
    return [line for lines in checks for line in lines]


def _services(app: App, settings: Settings) -> Iterator[str]:
    for name in app.source_names:
        if not settings.instances(name):
            yield f"{name}_service_url ({name.upper()}_SERVICE_URL): missing"


def _issuers(settings: Settings) -> Iterator[str]:
    if not any((settings.jwt_secret, settings.jwks_url, settings.jwt_issuer, settings.auth.issuers)):
        yield "jwt_secret (JWT_SECRET) or jwks_url (JWKS_URL): missing, and without one no token can be checked"
    if settings.jwt_issuer and not (settings.jwt_secret or settings.jwks_url or is_safe_url(settings.jwt_issuer)):
        yield f"jwt_issuer (JWT_ISSUER): {_NO_DISCOVERY} or JWT_SECRET or JWKS_URL"
    names = [settings.jwt_issuer, *(each.issuer for each in settings.auth.issuers.values())]
    for name, each in settings.auth.issuers.items():
        if each.issuer is None:
            yield f"auth.issuers.{name}.issuer: missing: its tokens are recognized by it"
        elif each.secret is None and each.jwks_url is None and not is_safe_url(each.issuer):
            yield f"auth.issuers.{name}: {_NO_DISCOVERY} or secret or jwks_url"
        if each.previous_secrets and each.secret is None:
            yield f"auth.issuers.{name}.previous_secrets: expected a secret as well"
        if each.issuer is not None and names.count(each.issuer) > 1:
            yield f"auth.issuers.{name}.issuer: another one has the same"


def _identities(app: App, settings: Settings) -> Iterator[str]:
    services: dict[str, ServiceSettings] = {f"sources.{name}": settings.source(name) for name in app.source_names}
    services |= {f"routes: {name}: policy": each.policy for name, each in settings.routed_services().items()}
    for name, source in services.items():
        if source.oauth2 is None:
            continue
        if "authorization" in source.headers:
            yield f"{name}: expected oauth2 or headers.authorization, got both"
        if not is_safe_url(source.oauth2.token_url):
            yield f"{name}.oauth2.token_url: expected https, since the client's secret is sent there"


def _tiers(settings: Settings) -> Iterator[str]:
    claims = {"auth.claims": settings.auth.claims}
    claims |= {f"auth.issuers.{name}.claims": each.claims for name, each in settings.auth.issuers.items() if each.claims}
    for name, options in claims.items():
        if options.tier is not None and not settings.tiers:
            yield f"{name}.tier: expected tiers as well, since there are none that a token could name"
    for name, issuer in settings.auth.issuers.items():
        if unknown := [each for each in issuer.tiers or () if each not in settings.tiers]:
            yield f"auth.issuers.{name}.tiers: there is no tier of the name {unknown[0][:60]}"


def _consumers(settings: Settings) -> Iterator[str]:
    digests: dict[str, str] = {}
    for name, consumer in settings.consumers.items():
        if consumer.tier is not None and consumer.tier not in settings.tiers:
            yield f"consumers.{name}.tier: there is no tier of that name"
        if consumer.tier is not None and consumer.rate is not None:
            yield f"consumers.{name}: expected a tier or a rate, got both"
        for digest in consumer.key_sha256:
            other = digests.setdefault(digest, name)
            if other != name:
                yield f"consumers.{name}.key_sha256: {other} has the same key"
