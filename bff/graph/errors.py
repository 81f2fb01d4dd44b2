"""Errors that resolvers raise on purpose; their messages are for the client."""

from typing import ClassVar


class GraphError(Exception):
    """The root. `code` is the `extensions.code` that the client sees."""

    code: ClassVar[str]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadUserInput(GraphError):
    """An argument is of the right type and of no use all the same."""

    code = "BAD_USER_INPUT"


class SignInNeeded(GraphError):
    """Nobody is signed in, and somebody has to be."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("Sign in first.")


class NotAllowed(GraphError):
    """Whoever is signed in may not."""

    code = "FORBIDDEN"

    def __init__(self, message: str = "This is not yours to see.") -> None:
        super().__init__(message)
