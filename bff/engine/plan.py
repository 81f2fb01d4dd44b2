"""A plan: how one operation is executed. A frozen value that holds no data of a request.

A plan has the shape of the response. Each object lists its fields in response order; each field has the source of its value
(`Source`), its arguments, and the shape that the value is completed to (`Shape`). Equal objects in several places share one
`ObjectPlan`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
)
from strawberry.types.field import StrawberryField

from bff.engine.arguments import Arguments
from bff.graph.loaded import Loaded
from bff.graph.rules import Access
from bff.upstream.reads import Read

LoaderKey = Read
"""Names one of the context's loaders."""

Convert = Callable[[Mapping[str, Any], Any], dict[str, Any]]
"""Takes a field's arguments by their GraphQL names, and Strawberry's `Info` or None. Returns those of its Python method."""


@dataclass(frozen=True, slots=True)
class Typename:
    """`__typename` of an object of a known type."""

    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of the source object, by its Python name."""

    name: str


@dataclass(frozen=True, slots=True)
class Method:
    """A resolver of a Strawberry type, called directly.

    Attributes:
        call: the function.
        takes_self: whether it takes the source object.
        info: the name of the parameter that takes Strawberry's `Info`; None without one.
        definition: Strawberry's definition of the field.
        convert: converts the arguments.
        is_renamed_only: whether `convert` renames arguments and changes no value: then it is called once a run.
        is_pure: whether the function takes the source object and nothing else, and is no coroutine function.
        access: the rule to check before the call; None if the field has none.
    """

    call: Callable[..., Any] = field(repr=False)
    takes_self: bool
    info: str | None
    definition: StrawberryField = field(repr=False)
    convert: Convert = field(repr=False)
    is_renamed_only: bool
    is_pure: bool
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class LoadByKey:
    """A loader's value for the key that a method returns. `loaded` has the loader's read, and makes the field's value."""

    key: Method
    loaded: Loaded


@dataclass(frozen=True, slots=True)
class Resolver:
    """The field's resolver in the GraphQL schema, called as graphql-core would."""

    resolve: Callable[..., Any] = field(repr=False)


Source = Typename | Attribute | Method | LoadByKey | Resolver


@dataclass(frozen=True, slots=True)
class NonNull:
    """A value that must not be null."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar or an enum."""

    type: GraphQLLeafType


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """An object of a known type."""

    type: GraphQLObjectType
    fields: "tuple[FieldPlan, ...]" = field(repr=False)  # a shared plan would be repeated at each of its places


@dataclass(frozen=True, slots=True)
class Abstract:
    """An interface or a union: an object plan for each possible type, by the type's name."""

    type: GraphQLAbstractType
    objects: Mapping[str, ObjectPlan]


Shape = NonNull | ListOf | Leaf | ObjectPlan | Abstract


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One field of an object.

    Attributes:
        key: the response key: the field's alias or name.
        name: the field's name.
        parent: the type of the object.
        definition: the field's definition in the schema.
        nodes: its nodes in the document; several if selections were merged.
        source: where its value comes from.
        arguments: its arguments.
        shape: what its value is completed to.
        prefetches: the response keys of its subfields whose loads start together with this field's load.
    """

    key: str
    name: str
    parent: GraphQLObjectType
    definition: GraphQLField = field(repr=False)
    nodes: tuple[FieldNode, ...] = field(repr=False)
    source: Source
    arguments: Arguments
    shape: Shape
    prefetches: tuple[str, ...] = ()

    @property
    def type(self) -> GraphQLOutputType:
        """The field's type."""
        return self.definition.type


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of an operation.

    Attributes:
        schema: the schema it is for.
        operation: the operation's node.
        fragments: the document's fragments, by name.
        root: the root object.
        type_resolver: finds the type of a value of an interface or union that has no resolver for it.
        size: the number of compiled fields. A shared object counts once.
        is_serial: whether each root field begins when the one before is complete, as those of a mutation.
    """

    schema: GraphQLSchema = field(repr=False)
    operation: OperationDefinitionNode = field(repr=False)
    fragments: Mapping[str, FragmentDefinitionNode] = field(repr=False)
    root: ObjectPlan
    type_resolver: Callable[..., Any] = field(repr=False)
    size: int
    is_serial: bool


def object_of(shape: Shape) -> ObjectPlan | Abstract | Leaf:
    """The shape inside of lists and non-nulls."""
    while isinstance(shape, NonNull | ListOf):
        shape = shape.of
    return shape


def checked_rule(source: Source) -> Access | None:
    """The access rule that a run checks; None for a resolver, which checks its own."""
    if isinstance(source, LoadByKey):
        source = source.key
    return source.access if isinstance(source, Method) else None


def objects_in(shape: Shape) -> tuple[ObjectPlan, ...]:
    """The plans of the objects that a value of the shape may be or contain; none for a leaf."""
    inner = object_of(shape)
    if isinstance(inner, ObjectPlan):
        return (inner,)
    return tuple(inner.objects.values()) if isinstance(inner, Abstract) else ()
