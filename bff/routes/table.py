"""All routes by path. Immutable: other settings make another table."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial

from starlette.types import Receive, Scope, Send

from bff.routes.paths import UnsafePath, segments_of
from bff.routes.relay import Relay
from bff.routes.route import Route

Serve = Callable[[Scope, Receive, Send], Awaitable[None]]


class RouteTable:
    """Finds the route of a request: that with the longest prefix of its path."""

    def __init__(self, routes: Iterable[Route], reserved: Collection[str], relay: Relay) -> None:
        """`reserved` are first segments of paths that are the gateway's own. Raises `ValueError` if two routes overlap."""
        by_path: dict[tuple[bytes, ...], dict[str, Route]] = {}
        for route in routes:
            by_method = by_path.setdefault(route.prefix, {})
            if twice := by_method.keys() & route.methods:
                raise ValueError(f"{route.path}: two routes for {', '.join(sorted(twice))}")
            by_method.update(dict.fromkeys(route.methods, route))
        self._by_path: Mapping[tuple[bytes, ...], Mapping[str, Route]] = by_path
        self._longest = max(map(len, by_path), default=0)
        self._reserved = frozenset(each.encode() for each in reserved)
        self._relay = relay

    def __repr__(self) -> str:
        return f"<RouteTable {len(self._by_path)} paths>"

    def __call__(self, scope: Scope) -> Serve | None:
        """What serves the request; None if no route does."""
        path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        try:
            segments = segments_of(path)
        except UnsafePath:
            first = path[1:].partition(b"/")[0]
            return None if first in self._reserved or not path.startswith(b"/") else self._relay.refuse_path
        if segments and segments[0] in self._reserved:
            return None
        for length in range(min(len(segments), self._longest), -1, -1):
            by_method = self._by_path.get(segments[:length])
            if by_method is not None:
                return partial(self._relay.serve, by_method)
        return None
