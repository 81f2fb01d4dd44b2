"""What the gateway serves, to whom, and what is off: lines for the log at the start."""

from collections.abc import Iterator
from typing import Any

from bff.app import App
from bff.gate.access import entry_of
from bff.settings import Settings

Line = tuple[str, dict[str, Any]]
"""An event and its fields."""


def summary(app: App, settings: Settings, variants: Any) -> Iterator[Line]:
    """The lines. `variants` are those that are served, by name."""
    for name, served in variants.items():
        options = settings.variant(name)
        yield (
            "serving",
            {
                "variant": name,
                "endpoint": served.endpoint.variant.path,
                "to": str(served.endpoint.entry),
                "documents": options.documents,
                "trusted_documents": len(served.trusted),
                "graphiql": served.endpoint.page is not None,
                "port": "management" if name in settings.management.variants else "clients",
            },
        )
    for route in settings.routes:
        entry = entry_of(route.access, route.role, route.scopes)
        yield "serving", {"route": route.path, "methods": list(route.methods), "to": str(entry), "source": route.service}
    for name in app.source_names:
        source = settings.source(name)
        own = "oauth2" if source.oauth2 else "static" if "authorization" in source.headers else None
        yield (
            "in front of",
            {
                "source": name,
                "instances": len(settings.instances(name) or ()),
                "user_is_sent": source.forward_identity,
                "own_identity": own,
            },
        )
    yield "off", {"features": _off(settings)}
    if settings.workers > 1 and settings.rate.enabled and settings.redis_url is None:
        yield "each worker counts rates and quotas by itself, since there is no REDIS_URL", {"workers": settings.workers}


def _off(settings: Settings) -> list[str]:
    """What could be on and is not."""
    names = list(type(settings.variants).model_fields)  # type: ignore[attr-defined] # see `settings_class`
    options = [settings.variant(name) for name in names]
    cors = [settings.cors, *(each.cors for each in options if each.cors is not None)]
    states = {
        "rates": settings.rate.enabled,
        "shared state (REDIS_URL)": settings.redis_url is not None,
        "CORS": any(each.origins for each in cors),
        "HTTPS (tls.cert_file)": settings.tls.cert_file is not None,
        "a port for operators (management.port)": settings.management.port is not None,
        "compression": settings.compression.enabled,
        "response cache": any(each.answers.enabled for each in options),
        "API keys": bool(settings.consumers),
        "trusted proxies": bool(settings.proxies.trusted),
        "reload on change": settings.reload.on_change,
    }
    return [name for name, is_on in states.items() if not is_on]
