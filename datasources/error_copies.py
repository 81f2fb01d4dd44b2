"""Copies of exceptions, since an exception object is raised once.

Each raise adds frames to the object's traceback, and frames hold the locals of the request that they belong to. So an error
that several places are to raise is kept as a value: `detached` when it is stored, `again` each time it is raised.
"""

from typing import TypeVar

E = TypeVar("E", bound=Exception)


def again(error: E) -> E:
    """A copy of an error, to be raised in its place. It begins with the traceback that the error has by now."""
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
