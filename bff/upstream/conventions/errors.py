"""What a service says in the body of an error. It is used for logs and for errors that users can correct."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

_MOST_FIELDS = 50
_LONGEST_TEXT = 500


class FieldProblem(msgspec.Struct, frozen=True):
    """A mistake in one member of the request. `field` is its path, as `items[0].productId`."""

    field: str = ""
    message: str = ""


class Problem(msgspec.Struct, frozen=True):
    """What an error says.

    Attributes:
        title: the kind of error, the same for each error of that kind: for the log.
        detail: what is wrong this time. It may be personal, so it is not logged.
        errors: the mistakes by member.
    """

    title: str = ""
    detail: str = ""
    errors: Sequence[FieldProblem] = ()


NOTHING = Problem()

ReadProblem = Callable[[int, bytes], Problem | None]
"""Reads the error in a body, which may be anything, given the status. None if there is none."""

_problem = msgspec.json.Decoder(Problem)


def problem_details(_: int, body: bytes) -> Problem | None:
    """RFC 9457: `{"title", "detail"}`, with `"errors": [{"field", "message"}]`."""
    return _problem.decode(body)


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """An object at a member: `{"error": {"code": "…", "message": "…", "details": [{"field": "name", "message": "…"}]}}`.

    Attributes:
        at: the path of the object; empty for the whole body.
        code: its member with the kind of error.
        message: its member with a text.
        details: its member with the mistakes by member: a list of objects, or an object from member to text or texts.
        field: in a list of objects, the member with the path.
        detail: in a list of objects, the member with the text.
    """

    at: str = "error"
    code: str = "code"
    message: str = "message"
    details: str = "details"
    field: str = "field"
    detail: str = "message"

    def __call__(self, _: int, body: bytes) -> Problem | None:
        """The error in a body. Raises `ValueError` for what is no JSON."""
        found: Any = msgspec.json.decode(body)
        for name in self.at.split(".") if self.at else ():
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return Problem(detail=_text(found))
        if not isinstance(found, dict):
            return None
        problems = tuple(self._problems(found.get(self.details)))[:_MOST_FIELDS]
        return Problem(_text(found.get(self.code)), _text(found.get(self.message)), problems)

    def _problems(self, details: Any) -> Sequence[FieldProblem]:
        if isinstance(details, list):
            return [
                FieldProblem(_text(each.get(self.field)), _text(each.get(self.detail)))
                for each in details[:_MOST_FIELDS]
                if isinstance(each, dict)
            ]
        if isinstance(details, dict):
            pairs = list(details.items())[:_MOST_FIELDS]
            return [
                FieldProblem(_text(name), _text(text[0] if isinstance(text, list) and text else text))
                for name, text in pairs
            ]
        return ()


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)[:_LONGEST_TEXT]


def read_problem(read: ReadProblem, status: int, body: bytes) -> Problem:
    """What `read` finds in a body. An application's function can't break a call: if it fails, it has found nothing."""
    try:
        found = read(status, body)
    except Exception:  # noqa: BLE001 - see above
        return NOTHING
    return found if isinstance(found, Problem) else NOTHING
