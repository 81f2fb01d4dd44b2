"""Writes a plan as text, for people and for comparing plans."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from bff.engine.plan import (
    Abstract,
    Attribute,
    LoadByKey,
    Method,
    ObjectPlan,
    Plan,
    Resolver,
    Source,
    Typename,
    checked_rule,
    object_of,
)


def plan_text(plan: Plan) -> str:
    """The plan as indented lines, one a field: response key, name, arguments, type, source and access rule."""
    name = plan.operation.name.value if plan.operation.name else "(unnamed)"
    head = f"{plan.operation.operation.value} {name}"
    return "\n".join([head, *_lines(plan.root, 1)]) + "\n"


def _lines(plan: ObjectPlan, depth: int, prefetched: Collection[str] = ()) -> Iterator[str]:
    indent = "  " * depth
    for each in plan.fields:
        label = each.key if each.key == each.name else f"{each.key}: {each.name}"
        rule = checked_rule(each.source)
        needs = f" for {rule.as_words()}" if rule is not None else ""
        source = _source(each.source, is_prefetched=each.key in prefetched)
        yield f"{indent}{label}{each.arguments.text()} {each.type} <- {source}{needs}"
        inner = object_of(each.shape)
        if isinstance(inner, ObjectPlan):
            yield from _lines(inner, depth + 1, each.prefetches)
        elif isinstance(inner, Abstract):
            for name, objects in inner.objects.items():
                yield f"{indent}  on {name}"
                yield from _lines(objects, depth + 2)


def _source(source: Source, *, is_prefetched: bool) -> str:
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
            note = ", loaded with its parent" if is_prefetched else ""
            return f"{loaded.read.name} by {_key(key)}{note}"
        case Resolver():
            return "resolver"


def _key(key: Method) -> str:
    """The member of the record that is the key, or the method that makes it."""
    resolver = key.definition.base_resolver
    member = getattr(resolver.wrapped_func, "member", None) if resolver is not None else None
    return f"{_name(key.call)}()" if member is None else f".{member}"


def _name(call: Callable[..., Any]) -> str:
    return getattr(call, "__name__", type(call).__name__)
