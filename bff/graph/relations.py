"""Declares loaded fields in one line: a related object, an owner's list, a connection of all objects, an object by id.

    class Order:
        user: User | None = one(WEB, ADMIN, read=Users.by_id, key="user_id")

    class User:
        orders: list[Order] | None = many(WEB, ADMIN, read=Orders.of_user)

    class Query:
        order: Order | None = lookup(WEB, ADMIN, read=Orders.by_id)
        orders: Connection[Order] | None = connection(ADMIN, read=Orders.page)

The arguments follow from the read: `first`, `after` and its filters. `access` is a rule that is checked before the key is
computed. `size` and `weight` are as for `computed`. All other options are Strawberry's, as `description`.
"""

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Annotated, Any, get_args, get_origin

import strawberry
from strawberry.extensions import FieldExtension

from bff.graph.arguments import DEFAULT_FIRST, filter_of, first_of
from bff.graph.loaded import Loaded, LoadedList, Prefetch
from bff.graph.rules import Access
from bff.graph.tags import SIZE, WEIGHT, tagged
from bff.graph.variants import Variant
from bff.upstream.loads import as_text
from bff.upstream.reads import ById, ListBy, Pages, Read

_SELF = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
_FIRST = Parameter("first", Parameter.KEYWORD_ONLY, default=DEFAULT_FIRST, annotation=int | None)
_AFTER = Parameter("after", Parameter.KEYWORD_ONLY, default=None, annotation=str | None)
_NO_ARGUMENTS = frozenset({"self", "cls", "root", "info", _FIRST.name, _AFTER.name})
"""Names that a filter can't have: Strawberry takes them for its own, or the field has an argument of that name."""
_ID = Parameter("id", Parameter.KEYWORD_ONLY, annotation=strawberry.ID)


def one(*variants: Variant, read: ById, key: str, access: Access | None = None, **options: Any) -> Any:
    """Makes a field: the object whose id is the record's member `key`; null if that is null or there is no such object."""

    def resolve(self: Any) -> Any:
        return getattr(self, key)

    resolve.member = key  # type: ignore[attr-defined] # read by the engine, which gets the member without a call
    prefetch = Prefetch() if key == "id" else None
    return _field(variants, _named(resolve, key, _SELF), Loaded(read, prefetch=prefetch), access, options)


def many(*variants: Variant, read: ListBy, key: str = "id", access: Access | None = None, **options: Any) -> Any:
    """Makes a field: the first items of the list whose owner's id is the record's member `key`.

    An item that could not be read is left out, with an error of its own.
    """

    def resolve(self: Any, *, first: int | None = DEFAULT_FIRST, **filters: Any) -> Any:
        owner = getattr(self, key)
        return None if owner is None else read.key(owner, first_of(first), **_texts(filters))

    prefetch = Prefetch() if key == "id" else None
    resolver = _named(resolve, key, _SELF, _FIRST, *_filters(read))
    return _field(variants, resolver, LoadedList(read, prefetch=prefetch), access, options)


def connection(*variants: Variant, read: Pages, access: Access | None = None, **options: Any) -> Any:
    """Makes a field: a page of all objects (Relay cursor connections specification)."""

    def resolve(*, first: int | None = DEFAULT_FIRST, after: str | None = None, **filters: Any) -> Any:
        return read.key(first_of(first), after, **_texts(filters))

    resolver = _named(resolve, read.attribute, _FIRST, _AFTER, *_filters(read))
    return _field(variants, resolver, Loaded(read), access, options)


def lookup(*variants: Variant, read: ById, access: Access | None = None, **options: Any) -> Any:
    """Makes a field: the object whose id is the argument `id`; null if there is none."""

    def resolve(*, id: str) -> Any:
        return read.source.read_id(id)

    return _field(variants, _named(resolve, "id", _ID), Loaded(read), access, options)


def _field(
    variants: tuple[Variant, ...],
    resolver: Callable[..., Any],
    loaded: Loaded,
    access: Access | None,
    options: dict[str, Any],
) -> Any:
    extensions: list[FieldExtension] = [loaded] if access is None else [access, loaded]
    metadata = {**tagged(*variants), SIZE: options.pop("size", None), WEIGHT: options.pop("weight", None)}
    return strawberry.field(resolver=resolver, extensions=extensions, metadata=metadata, **options)


def _named(resolve: Callable[..., Any], name: str, *parameters: Parameter) -> Callable[..., Any]:
    """The function with a name and a signature, from which Strawberry reads the arguments."""
    resolve.__name__ = resolve.__qualname__ = name
    resolve.__signature__ = Signature(parameters)  # type: ignore[attr-defined] # read by `inspect.signature`
    resolve.__annotations__ = {each.name: each.annotation for each in parameters if each.annotation is not Parameter.empty}
    return resolve


def _filters(read: Read) -> list[Parameter]:
    if lost := sorted({*read.filters, *read.exact} & _NO_ARGUMENTS):
        raise TypeError(f"{read.name}: filter {lost[0]!r}: expected a name that an argument can have")
    return [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=_filter_type(read, name) | None)
        for name in (*read.filters, *read.exact)
    ]


def _filter_type(read: Read, name: str) -> Any:
    """The type of a filter's argument: that of the record's member for an exact one, else a string."""
    if name not in read.exact:
        return str
    type_ = read.type_of(name)
    while get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    return type_


def _texts(filters: dict[str, Any]) -> dict[str, str | None]:
    return {name: None if value is None else filter_of(name, as_text(value)) for name, value in filters.items()}
