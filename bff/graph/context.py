"""The context of resolvers: viewer, variant, sources and loaders. Each operation has its own."""

from dataclasses import dataclass, field
from typing import Any

import strawberry

from bff.graph.controls import Controls
from bff.graph.errors import SignInNeeded
from bff.graph.loaders import Loaders
from bff.graph.sources import Sources
from bff.graph.variants import Variant
from bff.runtime.log import Log
from bff.upstream.caller import Caller
from bff.upstream.reads import Read
from bff.upstream.traffic.call import Stale

_audit = Log("bff.audit")


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in user.

    Attributes:
        sub: the token's subject.
        roles: the roles in the token.
        scopes: the scopes that the token grants; None if it does not mention scopes.
    """

    sub: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class PartialError:
    """An error that removed a part of a field's value, as one item of a list. It is reported in `errors` with `path`."""

    error: Exception
    path: list[str | int]


@dataclass(frozen=True, slots=True)
class Degraded:
    """A field that shows a stale value or its fallback because its source failed. It is reported in `extensions.degraded`.

    `age_s` is the age of a stale value; None for a fallback.
    """

    path: list[str | int]
    source: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class Context:
    """The context that the resolvers of one operation share.

    `scopes` are those granted to the request: the token's, the consumer's, or those that both grant.
    """

    variant: Variant
    viewer: Viewer | None
    caller: Caller
    sources: Sources
    loaders: Loaders
    scopes: frozenset[str] = frozenset()
    controls: Controls | None = None
    partial_errors: list[PartialError] = field(default_factory=list)
    degraded: list[Degraded] = field(default_factory=list)

    async def load(self, read: Read, key: Any) -> Any:
        """The value of a key of a read, as `await context.load(Orders.by_id, 7)`; None if there is no such object.

        If the service fails it may be a stale cache entry. Raises `SourceError`.
        """
        value = await self.loaders[read].load(key)
        return value.value if type(value) is Stale else value

    def audit(self, action: str, **details: Any) -> None:
        """Log an administrative action, with the viewer and the request's id."""
        _audit.info("audit", action=action, by=self.signed_in().sub, request_id=self.caller.request_id, **details)

    def signed_in(self) -> Viewer:
        """The viewer. Raises `SignInNeeded` if the request is anonymous."""
        if self.viewer is None:
            raise SignInNeeded
        return self.viewer


Info = strawberry.Info[Context, Any]
