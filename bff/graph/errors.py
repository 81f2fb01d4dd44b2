"""Errors that resolvers raise for the client. Their messages are shown."""

from typing import ClassVar


class GraphError(Exception):
    """The root. `code` is the `extensions.code` that the client sees."""

    code: ClassVar[str]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadUserInput(GraphError):
    """An argument has the right type and an invalid value."""

    code = "BAD_USER_INPUT"


class SignInNeeded(GraphError):
    """The field needs a signed-in user, and the request is anonymous."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("Sign in first.")


class NotAllowed(GraphError):
    """The signed-in user lacks the permission."""

    code = "FORBIDDEN"

    def __init__(self, message: str = "This is not yours to see.") -> None:
        super().__init__(message)
