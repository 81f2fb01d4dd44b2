"""Who may see what. An `Access` rule stands at a field, a `RecordRule` holds for a kind of record wherever it is shown.

An access rule is checked before anything is loaded, and shows in the SDL: it needs only the viewer, the roles, the scopes
and the field's arguments. A record rule looks at the record (is the order the viewer's own?): what the viewer may not see is
as if it did not exist.
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
"""For a variant and a viewer: whether a record may be seen; None if every record may. Called once for each operation."""


def visible_records(
    rules: Mapping[type[Record], RecordRule], variant: Variant, viewer: Viewer | None
) -> dict[type[Record], Visible]:
    """What the rules come to for one viewer."""
    return {record: visible for record, rule in rules.items() if (visible := rule(variant, viewer)) is not None}


class Access(FieldExtension):
    """Somebody has to be signed in, with all that is named here.

    Attributes:
        role: that the token must carry.
        scopes: that must all have been granted to the request: by the token, by the consumer, or where both speak of scopes
            by both.
        owner: the name of an argument that must be the viewer's own `sub`. Staff variants are for everybody's data.
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

    # Positional alone: a field may have an argument named as one of these.
    def resolve(  # type: ignore[override]
        self, next_: Callable[..., Any], source: Any, info: Info, /, **kwargs: Any
    ) -> Any:
        """The field's value, for those who may have it."""
        self.check(info.context, kwargs)
        return next_(source, info, **kwargs)

    async def resolve_async(  # type: ignore[override]
        self, next_: Callable[..., Any], source: Any, info: Info, /, **kwargs: Any
    ) -> Any:
        """As `resolve`."""
        self.check(info.context, kwargs)
        return await next_(source, info, **kwargs)

    def as_words(self) -> str:
        """The rule in words."""
        words = ["signed in"]
        words += [f"role {self.role}"] if self.role is not None else []
        words += [f"scope {scope}" for scope in self.scopes]
        words += [f"owner by {self.owner}"] if self.owner is not None else []
        return ", ".join(words)


def access_rule(extensions: Mapping[str, Any]) -> Access | None:
    """The rule of a field of a GraphQL schema, from its `extensions`; None where everybody may have it."""
    definition = definition_of(dict(extensions))
    found = getattr(definition, "extensions", None) or ()
    return next((each for each in found if isinstance(each, Access)), None)
