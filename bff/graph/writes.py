"""What mutations share: idempotency keys, what was changed of an input, and a write's outcome as the client sees it.

What a person can correct comes back as `UserError`s beside the record; everything else is an error.
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
from bff.upstream.errors import Rejected
from bff.upstream.reads import camel
from bff.upstream.source import Source

MOST_MISTAKES = 50
LONGEST_MESSAGE = 500
LONGEST_KEY = 255
"""The most characters of a client's idempotency key."""


@strawberry.type(description="Something that the person who asked can mend.")
class UserError:
    """A mistake in the input, for the person who sent it."""

    field: list[str] | None = tags.field(tags.EVERY, description="The path in the input, as [items, 0, productId].")
    message: str = tags.field(tags.EVERY)
    code: str = tags.field(tags.EVERY, description="INVALID, CONFLICT, NOT_FOUND or IDEMPOTENCY_KEY_REUSED.")


def invalid(field: list[str] | None, message: str) -> UserError:
    """A value that can't be used."""
    return UserError(field=field, message=message, code="INVALID")


def not_found(thing: str, *, field: list[str] | None) -> UserError:
    """An id of nothing. `thing` is what it should have been: `order`."""
    return UserError(field=field, message=f"There is no such {thing}.", code="NOT_FOUND")


def new_key() -> str:
    """An idempotency key for a write whose client gave none: unique."""
    return uuid4().hex


def own_key(sub: str, key: str) -> str:
    """A client's idempotency key, made different for each viewer: services keep keys by path, and two may choose one."""
    return sha256(f"{len(sub)}:{sub}:{key}".encode("utf-8", "surrogatepass")).hexdigest()


def changes_of(input: Any, never_null: Sequence[str] = ()) -> tuple[dict[str, Any], list[UserError]]:
    """The members of an input that were given, by their names in JSON, or what is wrong with them.

    Wrong are: nothing at all, null for a member of `never_null`, and numbers that JSON does not have (1e400 is infinite).
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
    """The record after the write, or the mistakes that a person can correct.

    However the write ended, it may have taken effect: what this operation has loaded from the source is forgotten. The
    record is None, without mistakes, if the viewer may not see it as it is after the write.

    Args:
        context: the operation's.
        source: whose record is written.
        write: the call, as `context.sources[Orders].cancel(…)`.
        thing: what it is, for messages: `order`.
        id: of the record, if only that one was changed; None if anything of the source may have.
        id_field: where in the input the client has named the record, as `["id"]`.
        is_keyed: whether the client chose the idempotency key.

    Raises:
        SourceError: anything else that went wrong.
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
    """A service's `items[0].productId` as a path: `["items", "0", "productId"]`; None if it names nothing."""
    return [part for part in re.split(r"[.\[\]]+", member) if part] or None
