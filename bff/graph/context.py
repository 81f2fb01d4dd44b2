"""What resolvers use: who asks, in which variant, and the loaders. One for each operation."""

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

_audit = Log("bff.audit")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is signed in.

    Attributes:
        sub: the token's subject.
        roles: that the token carries.
        scopes: that the token grants; None if it does not mention scopes.
    """

    sub: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class PartialError:
    """A fault that cost a part of a field's value and left the rest: it stands in `errors` with the field's path."""

    error: Exception
    path: list[str | int]


@dataclass(frozen=True, slots=True)
class Degraded:
    """A field that shows something older or other than it should, for want of better: it stands in `extensions.degraded`.

    `age_s` is the age of what is shown; None where it is the field's fallback.
    """

    path: list[str | int]
    source: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class Context:
    """What the resolvers of one operation share.

    `scopes` are those granted to the request: the token's, the consumer's, or what both have.
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

    def audit(self, action: str, **details: Any) -> None:
        """Leave a line in the log of who changed the gateway itself, and how."""
        _audit.info("audit", action=action, by=self.signed_in().sub, request_id=self.caller.request_id, **details)

    def signed_in(self) -> Viewer:
        """The viewer. Raises `SignInNeeded` where there is none."""
        if self.viewer is None:
            raise SignInNeeded
        return self.viewer


Info = strawberry.Info[Context, Any]
