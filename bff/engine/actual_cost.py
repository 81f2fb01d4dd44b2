"""The cost of a response, by the measure with which the operation's cost is estimated."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLObjectType

from bff.engine.plan import Abstract, FieldPlan, ListOf, NonNull, ObjectPlan, Shape
from bff.graph.tags import weight_of


def actual_cost(plan: ObjectPlan, data: Mapping[str, Any] | None) -> int:
    """The cost of the objects and weighted fields in the response; 0 if `data` is None."""
    return 0 if data is None else sum(_field(each, data.get(each.key)) for each in plan.fields)


def _field(each: FieldPlan, value: Any) -> int:
    return (weight_of(each.definition.extensions) or 0) + _value(each.shape, value)


def _value(shape: Shape, value: Any) -> int:
    while isinstance(shape, NonNull):
        shape = shape.of
    if value is None:
        return 0
    match shape:
        case ListOf(of):
            return sum(_value(of, item) for item in value)
        case ObjectPlan(type):
            return _own(type) + actual_cost(shape, value)
        case Abstract(_, objects):
            # The response need not have the type's name, so the most expensive type counts.
            return max((_own(each.type) + actual_cost(each, value) for each in objects.values()), default=0)
        case _:
            return 0


def _own(type_: GraphQLObjectType) -> int:
    return 1 if "id" in type_.fields else 0
