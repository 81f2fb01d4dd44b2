"""The users service."""

import re
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response

from bff import DemoOptions
from datasources.demo.data import DemoData
from datasources.demo.pages import found, one, page, parse_ids, several
from datasources.demo.problems import checked_changes, checked_name
from datasources.demo.rest import PRIVATE, Call, Methods, answer, service

# A plausible email address. Only sending a mail would prove that it exists.
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")


def users_app(data: DemoData, options: DemoOptions) -> Starlette:
    """The ASGI application of the users service."""
    users = _Users(data)
    return service(
        {
            "/users": Methods(get=users.list),
            "/users/{id}": Methods(get=users.one, patch=users.change),
        },
        PRIVATE,
        options,
    )


class _Users:
    """The handlers of users."""

    def __init__(self, data: DemoData) -> None:
        self._users = data.users

    def list(self, call: Call) -> bytes:
        """The users with the given ids, or a page of all."""
        ids = call.query.get("ids")
        if ids is not None:
            return several(self._users, parse_ids("ids", ids))
        return page(self._users, self._users.ids, call.query)

    def one(self, call: Call) -> bytes:
        """One user."""
        return one(self._users, call.id)

    def change(self, call: Call) -> Response:
        """Change a user's name or email address."""
        user = found(self._users, call.id)
        changes = checked_changes(call.body, {"name": checked_name, "email": _checked_email})
        self._users.put(msgspec.structs.replace(user, **changes))
        return answer(one(self._users, user.id))


def _checked_email(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 254 or not _EMAIL.fullmatch(value):
        raise ValueError("An email is an address such as ann@example.com, of at most 254 characters.")
    return value
