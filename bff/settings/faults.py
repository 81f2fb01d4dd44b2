"""Messages about settings that are unknown or out of range: the setting, its variable, and what may have been meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from itertools import takewhile
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from bff.settings.environment import variable_of

_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument"}
_ALIKE = 0.6
"""How alike two names must be for a suggestion: 1 is the same."""


class Faults:
    """Writes a line for each fault that pydantic finds."""

    def __init__(
        self, model: type[BaseModel], sources: Sequence[str], in_environment: Mapping[str, Any], file: str | None
    ) -> None:
        """`in_environment` are the settings from the environment. `file` is the name of the settings file, if any."""
        self._model = model
        self._sources = sources
        self._in_environment = in_environment
        self._file = file

    def line(self, fault: Any) -> str:
        """The message. It never contains the setting's value."""
        path = [str(part) for part in fault["loc"] if not str(part).startswith(("function-", "tuple["))]
        message = self._unknown(path) if fault["type"] in _UNKNOWN else fault["msg"]
        return f"{'.'.join(path)} ({variable_of(_before_index(fault['loc']), self._sources)}): {message}"

    def _unknown(self, path: Sequence[str]) -> str:
        place = "the environment" if _has(self._in_environment, path) else self._file
        suggestion = self._suggestion(path)
        return f"unknown setting{f' in {place}' if place else ''}{f'; did you mean {suggestion}?' if suggestion else ''}"

    def _suggestion(self, path: Sequence[str]) -> str | None:
        """The known setting that is most like this one: beside it, or of the same name elsewhere."""
        *above, name = path
        beside = _members(_group(self._model, above))
        if close := get_close_matches(name, beside, 1, _ALIKE):
            return ".".join([*above, *close])
        return next((each for each in names_in(self._model) if each.rpartition(".")[2] == name), None)


def names_in(model: Any, path: str = "") -> Iterator[str]:
    """The names of all settings, those in lists last. `NAME` stands for the names in a mapping."""
    for name, kind in sorted(_members(model).items(), key=lambda member: _is_list(member[1])):
        here = f"{path}{name}"
        inner = _inner(kind)
        if inner is None:
            yield here
        else:
            yield from names_in(inner[0], f"{here}.NAME." if inner[1] else f"{here}.")


def _group(model: Any, path: Sequence[str]) -> Any:
    """The group of settings at a path; None if there is none."""
    left = [part for part in path if not part.isdigit()]  # without the position in a list
    while left and model is not None:
        inner = _inner(_members(model).get(left.pop(0)))
        if inner is None:
            return None
        model = inner[0]
        if inner[1] and left:
            left.pop(0)  # the name in a mapping
    return model


def _members(group: Any) -> dict[str, Any]:
    if isinstance(group, type) and issubclass(group, BaseModel):
        return {name: each.annotation for name, each in group.model_fields.items()}
    return {each.name: each.type for each in fields(group)} if is_dataclass(group) else {}


def _inner(kind: Any) -> tuple[Any, bool] | None:
    """The group of settings in a type, and whether it stands under names of its own; None for a single value."""
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, BaseModel)):
        return kind, False
    is_mapping = getattr(kind, "__origin__", None) is dict
    for each in get_args(kind):
        inner = _inner(each)
        if inner is not None:
            return inner[0], is_mapping or inner[1]
    return None


def _is_list(kind: Any) -> bool:
    """Whether a type is a list of groups of settings."""
    return get_origin(kind) is tuple and _inner(kind) is not None


def _before_index(place: Sequence[str | int]) -> list[str]:
    """The names up to a position in a list, which is one variable as a whole."""
    names = takewhile(lambda part: not isinstance(part, int), place)
    return [str(part) for part in names if not str(part).startswith(("function-", "tuple["))]


def _has(values: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True
