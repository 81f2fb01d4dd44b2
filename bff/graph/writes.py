"""Helpers of mutations: idempotency keys, the given members of an input, and a write's outcome as a payload.

Mistakes in the input are returned as `UserError`s; any other failure is a GraphQL error.
"""

import re
from collections.abc import Awaitable, Sequence
from dataclasses import fields
from hashlib import sha256
from math import isfinite
from typing import Any
from uuid import uuid4

import strawberry

from bff.graph import tags
from bff.graph.context import Context
from bff.upstream.conventions.keys import camel
from bff.upstream.errors import Rejected
from bff.upstream.source import Source

MOST_MISTAKES = 50
LONGEST_MESSAGE = 500


@strawberry.type(description="A mistake in the input that the user can correct.")
class UserError:
    """A mistake in the input."""

    field: list[str] | None = tags.field(
        tags.EVERY, description="The path to the input field, for example [items, 0, productId]."
    )
    message: str = tags.field(tags.EVERY)
    code: str = tags.field(tags.EVERY, description="INVALID, CONFLICT, NOT_FOUND or IDEMPOTENCY_KEY_REUSED.")


def invalid(field: list[str] | None, message: str) -> UserError:
    """The error for an invalid value."""
    return UserError(field=field, message=message, code="INVALID")


def not_found(thing: str, *, field: list[str] | None) -> UserError:
    """The error for an id that does not exist. `thing` names the object in the message: `order`."""
    return UserError(field=field, message=f"There is no such {thing}.", code="NOT_FOUND")


def new_key() -> str:
    """A unique idempotency key, for a write whose client gave none."""
    return uuid4().hex


def own_key(sub: str, key: str) -> str:
    """A hash of the viewer and the client's idempotency key, so that two viewers who choose the same key don't collide."""
    return sha256(f"{len(sub)}:{sub}:{key}".encode("utf-8", "surrogatepass")).hexdigest()


def changes_of(input: Any, never_null: Sequence[str] = ()) -> tuple[dict[str, Any], list[UserError]]:
    """The given members of an input by their names in JSON, and the mistakes in them.

    Mistakes are: no member at all, null for a member of `never_null`, and infinite numbers (as 1e400), which JSON lacks.
    """
    given = {camel(each.name): getattr(input, each.name) for each in fields(input)}
    changes = {name: value for name, value in given.items() if value is not strawberry.UNSET}
    if not changes:
        return {}, [invalid(None, f"Expected at least one of {', '.join(given)}.")]
    missing = [name for name in map(camel, never_null) if name in changes and changes[name] is None]
    infinite = [name for name, value in changes.items() if isinstance(value, float) and not isfinite(value)]
    mistakes = [invalid([name], "Expected a value, got null.") for name in missing]
    return changes, mistakes + [invalid([name], "Expected a number, got one too large.") for name in infinite]


async def written(
    context: Context,
    source: type[Source[Any]],
    write: Awaitable[Any],
    *,
    thing: str,
    id: Any = None,
    id_field: list[str] | None = None,
    is_keyed: bool = False,
) -> tuple[Any, list[UserError]]:
    """The record after the write, or the mistakes in the input.

    Even a failed write may have taken effect, so the operation's loaders forget what they loaded from the source. The
    record is None, without mistakes, if the viewer may not see it as it is after the write.

    Args:
        context: the operation's.
        source: the class of the source that is written to.
        write: the call, as `context.sources[Orders].cancel(…)`.
        thing: the record's name in messages: `order`.
        id: the record's id, if the write changes only that one; None if other objects may change.
        id_field: the path of the record's id in the input, as `["id"]`.
        is_keyed: whether the client chose the idempotency key.

    Raises:
        SourceError: any other failure.
    """
    try:
        record = await write
    except Rejected as error:
        mistakes = _mistakes(error, thing, id_field, is_keyed=is_keyed)
        if mistakes is None:
            raise
        return None, mistakes
    finally:
        context.loaders.forget(source, id)
    if not context.loaders.may_see(record):
        return None, []
    if source.by_id_read is not None:
        context.loaders[source.by_id_read].prime(record.id, record)
    return record, []


def _mistakes(error: Rejected, thing: str, id_field: list[str] | None, *, is_keyed: bool) -> list[UserError] | None:
    if error.status == 404:
        return [not_found(thing, field=id_field)]
    if error.status == 409 and is_keyed:
        message = "This idempotency key was used for something else."
        return [UserError(field=["idempotencyKey"], message=message, code="IDEMPOTENCY_KEY_REUSED")]
    if error.status == 409:
        message = f"The {thing} does not allow this in its present state."
        return [UserError(field=None, message=message, code="CONFLICT")]
    if error.status == 422:
        return [
            invalid(path_of(problem.field), problem.message[:LONGEST_MESSAGE] or "This is not valid.")
            for problem in error.problem.errors[:MOST_MISTAKES]
        ] or [invalid(None, "This is not valid.")]
    return None


def path_of(member: str) -> list[str] | None:
    """A service's `items[0].productId` as a path: `["items", "0", "productId"]`; None if it is empty."""
    return [part for part in re.split(r"[.\[\]]+", member) if part] or None
