"""Wires the routes: a table made from the settings, over the stacks of the services. It has no state of its own."""

from collections.abc import Iterator, Mapping

from bff.app import App
from bff.gate.access import entry_of
from bff.graphiql.page import ASSETS as GRAPHIQL
from bff.operations.page import DOCUMENT_PATH, PATH
from bff.routes.relay import Relay
from bff.routes.route import Route, RouteTarget
from bff.routes.table import RouteTable
from bff.settings import Settings
from bff.settings.routes import RouteSettings
from bff.upstream.traffic.stack import Stack

_OWN_PATHS = ("/health", "/ready", "/metrics", GRAPHIQL.prefix, PATH, DOCUMENT_PATH)
OWN_NAMES = frozenset(each.split("/")[1] for each in _OWN_PATHS)
"""The first segments of the gateway's own paths, but for those of variants."""


def routes_of(app: App, settings: Settings, stacks: Mapping[str, Stack], relay: Relay) -> RouteTable | None:
    """The routes that the settings describe; None if there are none. `route_faults` has found no fault in them."""
    if not settings.routes:
        return None
    names = dict.fromkeys(each.service for each in settings.routes)
    targets = {name: RouteTarget(name, stacks[name].streaming(), stacks[name].urls) for name in names}
    routes = (_route(each, targets[each.service], _forwards(app, settings, each)) for each in settings.routes)
    return RouteTable(routes, reserved_names(app), relay)


def _route(each: RouteSettings, target: RouteTarget, forward_identity: bool) -> Route:
    return Route(
        each.path,
        frozenset(each.methods),
        target,
        each.rewrite,
        entry_of(each.access, each.role, each.scopes),
        None if each.consumers is None else frozenset(each.consumers),
        each.rate,
        each.rate_of_address,
        each.rate_of_all,
        each.timeout_s,
        each.idle_timeout_s,
        each.deadline_s,
        each.max_request_bytes,
        each.max_response_bytes,
        forward_identity,
        each.cookies,
    )


def _forwards(app: App, settings: Settings, route: RouteSettings) -> bool:
    """Whether the service gets the identity: as the route says, else as the source does, else not."""
    if route.forward_identity is not None:
        return route.forward_identity
    return route.service in app.source_names and settings.source(route.service).forward_identity


def reserved_names(app: App) -> frozenset[str]:
    """The first segments of the gateway's own paths."""
    return OWN_NAMES.union(app.variant_names)


def route_faults(app: App, settings: Settings) -> Iterator[str]:
    """One line for each fault of a route that can't be found in its own settings."""
    known = {*app.source_names, *settings.routed_services()}
    reserved = reserved_names(app)
    taken: set[tuple[str, str]] = set()
    names: set[str] = set(app.source_names)
    for number, route in enumerate(settings.routes):
        here = f"routes.{number} ({route.path})"
        yield from (f"{here}{line}" for line in _service_faults(route, known, names))
        if route.path.split("/")[1] in reserved:
            yield f"{here}: the gateway itself answers below /{route.path.split('/')[1]}"
        for method in route.methods:
            if (route.path, method) in taken:
                yield f"{here}: another route has the same path and the method {method}"
            taken.add((route.path, method))
        for consumer in route.consumers or ():
            if consumer not in settings.consumers:
                yield f"{here}.consumers: there is no consumer of the name {consumer}"


def _service_faults(route: RouteSettings, known: set[str], names: set[str]) -> Iterator[str]:
    """Faults of the service that a route names. `names` are those that are taken; that of this route is added."""
    if (route.source is None) == (route.url is None):
        yield ": expected either source or url"
    elif route.source is not None:
        if route.name is not None or "policy" in route.model_fields_set:
            yield ": name and policy belong to a service with a url"
        if route.source not in known:
            yield f".source: expected one of {', '.join(sorted(known))}, got {route.source[:60]}"
    elif route.name is None:
        yield ".name: missing: a service with a url has a name, in metrics and logs"
    elif route.name in names:
        yield f".name: another service has the name {route.name}; use it by source"
    if route.name is not None:
        names.add(route.name)
