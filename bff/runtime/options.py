"""`options`: the decorator of every options class. A setting that the class doesn't have is an error, not ignored."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar, dataclass_transform

C = TypeVar("C")

_PYDANTIC_CONFIG: Final[dict[str, Any]] = {"extra": "forbid"}


@dataclass_transform(frozen_default=True)
def options(cls: type[C]) -> type[C]:
    """Make a frozen, slotted dataclass from which pydantic reads settings and refuses unknown keys.

    pydantic reads its configuration of a plain dataclass from an attribute, so a feature's options need not import it.
    """
    made = dataclass(frozen=True, slots=True)(cls)
    made.__pydantic_config__ = _PYDANTIC_CONFIG  # type: ignore[attr-defined] # the name that pydantic looks for
    return made


class _IsPath:
    """See `IS_PATH`."""


IS_PATH = _IsPath()
"""Marks settings that are paths: in the settings file they are relative to its folder."""

FilePath = Annotated[str, IS_PATH]
"""A path of a file or folder in the settings."""
