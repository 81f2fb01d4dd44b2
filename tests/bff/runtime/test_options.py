"""The decorator of options: frozen, slotted, and strict about unknown keys."""

from dataclasses import FrozenInstanceError, fields
from typing import Annotated

import pytest
from annotated_types import Ge
from pydantic import TypeAdapter, ValidationError

from bff.runtime.options import options


@options
class Example:
    """Options of nothing.

    Attributes:
        number: at least 1.
    """

    number: Annotated[int, Ge(1)] = 5


read = TypeAdapter(Example).validate_python


def test_options_are_a_frozen_and_slotted_dataclass() -> None:
    """Options are read once, at start-up: no code can change them later, or add to them."""
    assert Example(3) == Example(number=3)
    assert [field.name for field in fields(Example)] == ["number"]
    with pytest.raises(FrozenInstanceError):
        Example().number = 4  # type: ignore[misc]
    assert not hasattr(Example(), "__dict__")


def test_pydantic_reads_them_and_checks_their_bounds() -> None:
    """A value out of range is an error that names the option."""
    assert read({"number": 7}) == Example(7)
    with pytest.raises(ValidationError, match="number"):
        read({"number": 0})


def test_an_unknown_key_is_an_error_that_names_it() -> None:
    """A misspelt setting must not be ignored: the default would apply silently."""
    with pytest.raises(ValidationError, match="nubmer"):
        read({"nubmer": 7})


def test_the_docstring_and_the_name_stay() -> None:
    """The decorated class is documented and printed as the one that was written."""
    assert Example.__doc__ is not None
    assert Example.__doc__.startswith("Options of nothing.")
    assert repr(Example()) == "Example(number=5)"
