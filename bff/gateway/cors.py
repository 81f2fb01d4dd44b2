"""Wires CORS: the rules of each variant and of the routes."""

from starlette.types import ASGIApp

from bff.gateway.routes import OWN_NAMES
from bff.server.cors import Cors, CorsRules
from bff.server.host import Gateway
from bff.settings import Settings


def cors_rules(settings: Settings, variants: tuple[str, ...], *, is_dev: bool) -> dict[str, CorsRules]:
    """The rules by the first segment of a path. A variant has its own, else the gateway's.

    The headers that services get of the client are allowed too. In `bff dev` the pages of this machine may call.
    """
    found = {}
    sources = type(settings.sources).model_fields  # type: ignore[attr-defined] # see `settings_class`
    forwarded = {each for name in sources for each in settings.source(name).forward_headers}
    for name in variants:
        own = settings.variant(name).cors
        options = settings.cors if own is None else own
        headers = tuple(sorted({*options.headers, *forwarded}))
        found[name] = CorsRules(options.origins, headers, options.credentials, options.max_age_s, allows_local=is_dev)
    found |= _of_routes(settings, is_dev=is_dev)
    return found


def _of_routes(settings: Settings, *, is_dev: bool) -> dict[str, CorsRules]:
    """The gateway's rules for routes, by the first segment of their paths; empty for a route for everything."""
    methods: dict[str, set[str]] = {}
    for route in settings.routes:
        methods.setdefault(route.path.split("/")[1], set()).update(route.methods)
    options = settings.cors
    # A route for everything doesn't open the gateway's own paths.
    found = dict.fromkeys(OWN_NAMES, CorsRules()) if "" in methods else {}
    return found | {
        first: CorsRules(
            options.origins,
            options.headers,
            options.credentials,
            options.max_age_s,
            allows_local=is_dev,
            methods=tuple(sorted(names)),
        )
        for first, names in methods.items()
    }


def with_cors(gateway: Gateway) -> ASGIApp:
    """The gateway with CORS."""
    return Cors(gateway)
