"""The error responses of the services (RFC 9457, Problem Details). None of them may be cached."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeGuard

import msgspec
from starlette.responses import Response

PROBLEM_JSON: Final = "application/problem+json"


class Problem(Exception):
    """A refused request, with the status and the detail of the response."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    def response(self) -> Response:
        """The error response."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors is not None:
            body["errors"] = self.errors
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(msgspec.json.encode(body), self.status, headers, PROBLEM_JSON)


class Faults:
    """The invalid fields of a body, collected so that one response names them all."""

    def __init__(self) -> None:
        self._errors: list[dict[str, str]] = []

    def __repr__(self) -> str:
        return f"<Faults {[error['field'] for error in self._errors]}>"

    def add(self, field: str, message: str) -> None:
        """Add an invalid field. `field` is a path such as `items[0].quantity`."""
        self._errors.append({"field": field, "message": message})

    def __bool__(self) -> bool:
        return bool(self._errors)

    def problem(self) -> Problem:
        """The 422 that names all invalid fields."""
        named = ", ".join(error["field"] for error in self._errors[:10])
        return Problem(422, f"Not valid: {named}.", errors=self._errors)


Check = Callable[[Any], Any]
"""Takes the JSON value of a member, and returns the value to store. Raises `ValueError`, which says what was expected."""


def checked_changes(body: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """The checked changes in a PATCH body. Unknown members are ignored.

    Raises `Problem` (422), which names each invalid member, or all members that can be changed if there is none.
    """
    faults = Faults()
    changes: dict[str, Any] = {}
    for field, check in checks.items():
        if field in body:
            try:
                changes[field] = check(body[field])
            except ValueError as error:
                faults.add(field, str(error))
    if not changes and not faults:
        for field in checks:
            faults.add(field, f"Give at least one of {', '.join(checks)}.")
    if faults:
        raise faults.problem()
    return changes


def checked_name(value: Any) -> str:
    """A name: a string of 1 to 200 characters that is not blank. Raises `ValueError`."""
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        raise ValueError("A name is text of 1 to 200 characters.")
    return value


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a JSON value is an integer. True and False are not, although Python's `bool` is an `int`."""
    return isinstance(value, int) and not isinstance(value, bool)
