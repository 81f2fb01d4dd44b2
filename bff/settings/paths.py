"""Paths in the settings file are relative to its folder, so that they mean the same wherever the gateway is started."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from bff.runtime.options import IS_PATH
from bff.settings.values import read_list


def resolved(model: Any, values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values of a settings file with its relative paths made absolute. What fits no setting is left as it is."""
    found = dict(values)
    for name, (kind, metadata) in _members(model).items():
        if name in found:
            found[name] = _resolved(kind, metadata, found[name], folder)
    return found


def _members(model: Any) -> dict[str, tuple[Any, Any]]:
    """The types of the members of a group of settings, with their metadata."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return {name: (each.annotation, each.metadata) for name, each in model.model_fields.items()}
    return {name: (each, ()) for name, each in get_type_hints(model, include_extras=True).items()}


def _resolved(kind: Any, metadata: Any, value: Any, folder: Path) -> Any:
    if IS_PATH in metadata:
        return str(folder / value) if isinstance(value, str) else value
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _resolved(arguments[0], arguments[1:], value, folder)
    if origin in {Union, UnionType}:
        for each in arguments:
            value = _resolved(each, (), value, folder)
        return value
    if origin is tuple and isinstance(parts := read_list(value), list):
        return [_resolved(arguments[0], (), each, folder) for each in parts]
    return _resolved_inside(kind, value, folder) if isinstance(value, Mapping) else value


def _resolved_inside(kind: Any, value: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    if get_origin(kind) is dict:
        return {name: _resolved(get_args(kind)[1], (), each, folder) for name, each in value.items()}
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, BaseModel)):
        return resolved(kind, value, folder)
    return value
