"""The response of one run: its data, its errors, and the nulls that errors leave (GraphQL specification, section 6.4.4).

A null at a place removes everything below it. What is still awaited for a removed place is not written, and its errors are
not reported.
"""

from typing import Any

from graphql import GraphQLError

from bff.engine.located import located
from bff.engine.places import Place, path_of


class Response:
    """The response while it is being written.

    Attributes:
        data: the root object; None after a null has reached it.
        errors: in the order in which they were recorded.
        nulled: the places that an error has set to null, by their identity.
        late_errors: errors whose nulls are still to be propagated, each with its place.
    """

    __slots__ = ("data", "errors", "late_errors", "nulled")

    def __init__(self, data: dict[str, Any]) -> None:
        self.data: dict[str, Any] | None = data
        self.errors: list[GraphQLError] = []
        self.nulled: dict[int, Place] = {}
        self.late_errors: list[tuple[GraphQLError, Place]] = []

    def record_error(self, error: Exception, place: Place) -> None:
        """Record an error of the value at `place` while the object or list around it is being made.

        If the place is not nullable the error is raised instead, located, and fails the container.
        """
        placed = located(error, place[3].nodes, path_of(place))
        if not place[3].is_nullable:
            raise placed
        self._mark_nulled(placed, place)

    def record_late_error(self, error: Exception, place: Place) -> None:
        """Record an error of the value at `place` after its container was made.

        If the place is not nullable the error waits in `late_errors` until `propagate_nulls`.
        """
        placed = located(error, place[3].nodes, path_of(place))
        if place[3].is_nullable:
            place[2][place[1]] = None
            self._mark_nulled(placed, place)
        else:
            self.late_errors.append((placed, place))

    def propagate_nulls(self) -> None:
        """Record the late errors, and set the closest nullable place around each to null."""
        late, self.late_errors = self.late_errors, []
        for error, place in late:
            if self.nulled and self.is_removed(place):
                continue
            around: Place | None = place
            while around is not None and not around[3].is_nullable:
                around = around[0]
            if around is None:
                self.null_out_data(error)
            else:
                around[2][around[1]] = None
                self._mark_nulled(error, around)

    def null_out_data(self, error: GraphQLError) -> None:
        """Record an error that no nullable place has caught: the data is null."""
        self.errors.append(error)
        self.data = None

    def is_removed(self, place: Place) -> bool:
        """Whether an error has set the place, or one around it, to null."""
        if self.data is None:
            return True
        nulled = self.nulled
        around: Place | None = place
        while around is not None:
            if id(around) in nulled:
                return True
            around = around[0]
        return False

    def _mark_nulled(self, error: GraphQLError, place: Place) -> None:
        self.errors.append(error)
        self.nulled[id(place)] = place
