"""Required and contradictory settings."""

from bff.app import App
from bff.gate.jwks import is_safe_url
from bff.settings import Settings

_NO_DISCOVERY = "no token can be checked: expected an issuer with https, which says where its keys are,"


def faults_of(app: App, settings: Settings) -> list[str]:
    """One line for each required setting that is missing, and for each setting that contradicts another."""
    unplaced = [name for name in app.source_names if not settings.instances(name)]
    lines = [f"{name}_service_url ({name.upper()}_SERVICE_URL): missing" for name in unplaced]
    if not any((settings.jwt_secret, settings.jwks_url, settings.jwt_issuer, settings.auth.issuers)):
        lines.append("jwt_secret (JWT_SECRET) or jwks_url (JWKS_URL): missing, and without one no token can be checked")
    if settings.jwt_issuer and not (settings.jwt_secret or settings.jwks_url or is_safe_url(settings.jwt_issuer)):
        lines.append(f"jwt_issuer (JWT_ISSUER): {_NO_DISCOVERY} or JWT_SECRET or JWKS_URL")
    names = [settings.jwt_issuer, *(each.issuer for each in settings.auth.issuers.values())]
    for name, each in settings.auth.issuers.items():
        if each.issuer is None:
            lines.append(f"auth.issuers.{name}.issuer: missing: its tokens are recognized by it")
        elif each.secret is None and each.jwks_url is None and not is_safe_url(each.issuer):
            lines.append(f"auth.issuers.{name}: {_NO_DISCOVERY} or secret or jwks_url")
        if each.previous_secrets and each.secret is None:
            lines.append(f"auth.issuers.{name}.previous_secrets: expected a secret as well")
        if names.count(each.issuer) > 1:
            lines.append(f"auth.issuers.{name}.issuer: another one has the same")
    digests: dict[str, str] = {}
    for name, consumer in settings.consumers.items():
        if consumer.tier is not None and consumer.tier not in settings.tiers:
            lines.append(f"consumers.{name}.tier: there is no tier of that name")
        if consumer.tier is not None and consumer.rate is not None:
            lines.append(f"consumers.{name}: expected a tier or a rate, got both")
        others = [digests.setdefault(digest, name) for digest in consumer.key_sha256]
        lines += [f"consumers.{name}.key_sha256: {other} has the same key" for other in others if other != name]
    return lines
