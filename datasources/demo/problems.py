"""The error responses of the services (RFC 9457, Problem Details). They must not be cached."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeGuard

import msgspec
from starlette.responses import Response

PROBLEM_JSON: Final = "application/problem+json"


class Problem(Exception):
    """An error response: its status, detail, field errors and headers."""

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
        """The HTTP response."""
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
    """Collects the mistakes in a body's fields, so that one response names all of them."""

    def __init__(self) -> None:
        self._errors: list[dict[str, str]] = []

    def __repr__(self) -> str:
        return f"<Faults {[error['field'] for error in self._errors]}>"

    def add(self, field: str, message: str) -> None:
        """Add a mistake. `field` is a path such as `items[0].quantity`."""
        self._errors.append({"field": field, "message": message})

    def __bool__(self) -> bool:
        return bool(self._errors)

    def problem(self) -> Problem:
        """The 422 with all mistakes."""
        named = ", ".join(error["field"] for error in self._errors[:10])
        return Problem(422, f"Not valid: {named}.", errors=self._errors)


Check = Callable[[Any], Any]
"""Converts a member's JSON value to the value to store. Raises `ValueError` with what was expected."""


def checked_changes(body: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    """The changes in the body of a PATCH: its known members, checked. Other members are ignored.

    Raises a 422 that names every invalid member, or all members that can be changed if none is given.
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
    """A name: text of 1 to 200 characters, not only blanks."""
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        raise ValueError("A name is text of 1 to 200 characters.")
    return value


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a JSON value is an integer. In Python `True` is an `int`, in JSON `true` is not."""
    return isinstance(value, int) and not isinstance(value, bool)
