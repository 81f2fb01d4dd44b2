"""Copies of exceptions, because an exception object must be raised only once.

Each raise adds frames to the object's traceback, and frames hold the local variables of a request. So for an error that
several places raise, store a copy (`detached`), and raise a copy of that (`again`) in each of them.
"""

from typing import TypeVar

E = TypeVar("E", bound=Exception)


def again(error: E) -> E:
    """A copy of an error with its current traceback, to be raised in its place."""
    kind = type(error)
    copy = kind.__new__(kind, *error.args)
    copy.__dict__.update(error.__dict__)
    for name in (name for each in kind.__mro__ for name in each.__dict__.get("__slots__", ())):
        if hasattr(error, name):  # graphql-core's errors have slots
            setattr(copy, name, getattr(error, name))
    return copy.with_traceback(error.__traceback__)


def detached(error: E) -> E:
    """A copy of an error without traceback, cause and context: safe to keep for longer than the request that met it."""
    return again(error).with_traceback(None)
