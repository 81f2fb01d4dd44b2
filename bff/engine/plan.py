"""A plan: what it takes to answer one operation, worked out before anybody asks. A frozen value, without any request.

It follows the shape of the answer; equal objects in several places share a plan. An object has fields in the order in which
they are shown, each with where its value comes from (`Source`), its arguments, and how the value is completed (`Shape`).
`text` writes it down.
"""

from collections.abc import Callable, Iterator, Mapping
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
    OperationType,
)

from bff.engine.arguments import Arguments, Variables
from bff.graph.loaded import Loaded
from bff.graph.rules import Access

Convert = Callable[[Mapping[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Typename:
    """The name of the object's type."""

    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """A member of the record, by its Python name."""

    name: str


@dataclass(frozen=True, slots=True)
class Method:
    """A function of our own, called without a detour.

    Attributes:
        takes_self: whether it takes the object.
        info: the parameter that takes Strawberry's `Info`, None where there is none.
        definition: Strawberry's of the field.
        convert: makes its arguments of those that graphql-core gives, and the `Info`.
        renames: whether that gives the arguments other names at most, so that it need not be done again.
        is_pure: it takes the object and nothing else, and is no coroutine function.
        access: who may have what it gives.
    """

    call: Callable[..., Any] = field(repr=False)
    takes_self: bool
    info: str | None
    definition: Any = field(repr=False)
    convert: Convert = field(repr=False)
    renames: bool
    is_pure: bool
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class LoadByKey:
    """A method that gives a key, and the extension that says by which loader, and what is shown of what was loaded."""

    key: Method
    loaded: Loaded


@dataclass(frozen=True, slots=True)
class Resolver:
    """Whatever the schema has as the field's resolver, called as graphql-core would."""

    resolve: Callable[..., Any] = field(repr=False)


Source = Typename | Attribute | Method | LoadByKey | Resolver


@dataclass(frozen=True, slots=True)
class NonNull:
    """The shape of what must not be null."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class ListOf:
    """The shape of a list."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar or an enum."""

    type: GraphQLLeafType


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """An object of a known type."""

    type: GraphQLObjectType
    fields: "tuple[FieldPlan, ...]" = field(repr=False)  # shared plans would be written out at each of their places


@dataclass(frozen=True, slots=True)
class Abstract:
    """An interface or a union: an object plan for each type that it may turn out to be, by name."""

    type: GraphQLAbstractType
    objects: Mapping[str, ObjectPlan]


Shape = NonNull | ListOf | Leaf | ObjectPlan | Abstract


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One field of an object, under its response key."""

    key: str
    name: str
    parent: GraphQLObjectType
    definition: GraphQLField = field(repr=False)
    nodes: tuple[FieldNode, ...] = field(repr=False)
    source: Source
    arguments: Arguments
    shape: Shape

    @property
    def type(self) -> GraphQLOutputType:
        """The field's type."""
        return self.definition.type


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole operation. `serially`: one root field after the other, as a mutation's are. `size`: the number of fields."""

    schema: GraphQLSchema = field(repr=False)
    operation: OperationDefinitionNode = field(repr=False)
    fragments: Mapping[str, FragmentDefinitionNode] = field(repr=False)
    variables: Variables = field(repr=False)
    root: ObjectPlan
    type_resolver: Callable[..., Any] = field(repr=False)
    size: int

    @property
    def serially(self) -> bool:
        """Whether the root fields follow each other."""
        return self.operation.operation is OperationType.MUTATION

    def text(self) -> str:
        """The plan as lines, for people and for comparing."""
        name = self.operation.name.value if self.operation.name else "(unnamed)"
        head = f"{self.operation.operation.value} {name}"
        return "\n".join([head, *_lines(self.root, 1)]) + "\n"


def object_of(shape: Shape) -> ObjectPlan | Abstract | Leaf:
    """What is inside of lists and non-nulls."""
    while isinstance(shape, NonNull | ListOf):
        shape = shape.of
    return shape


def checked_rule(source: Source) -> Access | None:
    """Who may have a field, as far as it is the plan that checks it."""
    if isinstance(source, LoadByKey):
        source = source.key
    return source.access if isinstance(source, Method) else None


def objects_in(shape: Shape) -> tuple[ObjectPlan, ...]:
    """The object plans that a value of that shape may have; none for a leaf."""
    inner = object_of(shape)
    if isinstance(inner, ObjectPlan):
        return (inner,)
    return tuple(inner.objects.values()) if isinstance(inner, Abstract) else ()


def _lines(plan: ObjectPlan, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for each in plan.fields:
        label = each.key if each.key == each.name else f"{each.key}: {each.name}"
        rule = checked_rule(each.source)
        who = f" for {rule.as_words()}" if rule is not None else ""
        yield f"{indent}{label}{each.arguments.text()} {each.type} <- {_source(each.source)}{who}"
        inner = object_of(each.shape)
        if isinstance(inner, ObjectPlan):
            yield from _lines(inner, depth + 1)
        elif isinstance(inner, Abstract):
            for name, objects in inner.objects.items():
                yield f"{indent}  on {name}"
                yield from _lines(objects, depth + 2)


def _source(source: Source) -> str:
    match source:
        case Typename(name):
            return f"{name!r}"
        case Attribute(name):
            return f".{name}"
        case Method(is_pure=True):
            return f"{_name(source.call)}(self)"
        case Method():
            return f"{_name(source.call)}()"
        case LoadByKey(key, loaded):
            prefetch = ", known with its parent" if loaded.prefetch else ""
            return f"{loaded.read.name} by {_name(key.call)}(){prefetch}"
        case Resolver():
            return "resolver"


def _name(call: Callable[..., Any]) -> str:
    return getattr(call, "__name__", type(call).__name__)
