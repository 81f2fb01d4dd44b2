"""Authorization. An `Access` rule applies to one field, a `RecordRule` to a kind of record in every field that shows it.

An access rule is checked before anything is loaded: it needs only the viewer, the scopes and the field's arguments. The SDL
shows it. A record rule checks each loaded record, for example whether an order is the viewer's own. A record that the viewer
may not see is treated as missing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from strawberry.extensions import FieldExtension

from bff.graph.context import Context, Info, Viewer
from bff.graph.errors import NotAllowed
from bff.graph.loaders import Visible
from bff.graph.tags import definition_of
from bff.graph.variants import Variant
from bff.upstream.records import Record

RecordRule = Callable[[Variant, Viewer | None], Visible | None]
"""Takes a variant and a viewer; returns a function that decides whether a record may be seen, or None if all may.

Called once for each operation.
"""


def visible_records(
    rules: Mapping[type[Record], RecordRule], variant: Variant, viewer: Viewer | None
) -> dict[type[Record], Visible]:
    """The checks for one viewer, by record. Records that the viewer may see without a check are left out."""
    return {record: visible for record, rule in rules.items() if (visible := rule(variant, viewer)) is not None}


class Access(FieldExtension):
    """Requires a signed-in viewer who meets every condition that is given here.

    Attributes:
        role: a role that the token must contain.
        scopes: scopes that must all be granted to the request: by the token or the consumer, and by both if both have
            scopes.
        owner: the name of an argument that must equal the viewer's `sub`. In staff variants a rule with an owner always
            passes.
    """

    def __init__(self, *, role: str | None = None, scopes: tuple[str, ...] = (), owner: str | None = None) -> None:
        self.role = role
        self.scopes = scopes
        self.owner = owner

    def check(self, context: Context, arguments: Mapping[str, Any]) -> None:
        """Raises `SignInNeeded`, `NotAllowed`."""
        if self.owner is not None and context.variant.staff:
            return
        viewer = context.signed_in()
        if self.role is not None and self.role not in viewer.roles:
            raise NotAllowed("This needs a role that you don't have.")
        if not context.scopes.issuperset(self.scopes):
            raise NotAllowed("This needs a scope that was not granted.")
        if self.owner is not None and arguments[self.owner] != viewer.sub:
            raise NotAllowed

    # Positional-only, because a field's argument may have the name of one of these parameters.
    def resolve(  # type: ignore[override]
        self, next_: Callable[..., Any], source: Any, info: Info, /, **kwargs: Any
    ) -> Any:
        """Check the rule, then resolve the field."""
        self.check(info.context, kwargs)
        return next_(source, info, **kwargs)

    async def resolve_async(  # type: ignore[override]
        self, next_: Callable[..., Any], source: Any, info: Info, /, **kwargs: Any
    ) -> Any:
        """The same for a resolver that is a coroutine function."""
        self.check(info.context, kwargs)
        return await next_(source, info, **kwargs)

    def as_words(self) -> str:
        """The rule as text, for `explain`."""
        words = ["signed in"]
        words += [f"role {self.role}"] if self.role is not None else []
        words += [f"scope {scope}" for scope in self.scopes]
        words += [f"owner by {self.owner}"] if self.owner is not None else []
        return ", ".join(words)


def access_rule(extensions: Mapping[str, Any]) -> Access | None:
    """The rule of a field of a GraphQL schema, from its `extensions`; None if it has none."""
    definition = definition_of(dict(extensions))
    found = getattr(definition, "extensions", None) or ()
    return next((each for each in found if isinstance(each, Access)), None)
