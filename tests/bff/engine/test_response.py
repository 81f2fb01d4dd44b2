"""The response of a run: errors, the nulls that they leave, and what a null removes."""

from typing import Any

import pytest
from graphql import GraphQLError

from bff.engine.places import Place, ResponseSlot
from bff.engine.response import Response


class FieldStub:
    """As much of a `FieldPlan` as a slot reads."""

    nodes = ()


def slot(*, is_nullable: bool) -> ResponseSlot:
    """A slot without a document."""
    field: Any = FieldStub()
    return ResponseSlot(field, is_nullable=is_nullable, typename=None)


NULLABLE, NON_NULL = slot(is_nullable=True), slot(is_nullable=False)


def nested(*slots: ResponseSlot) -> tuple[Response, list[Place]]:
    """A response with an object in an object and so on under the key `a`, and their places from the root."""
    data: dict[str, Any] = {}
    response, container = Response(data), data
    places: list[Place] = []
    parent: Place | None = None
    for each in slots:
        parent = (parent, "a", container, each)
        places.append(parent)
        container["a"] = container = {}
    return response, places


def test_an_error_at_a_nullable_place_is_recorded_with_its_path() -> None:
    """While the container is being made, the null is the container's to write."""
    response, (_, inner) = nested(NON_NULL, NULLABLE)
    response.record_error(ValueError("no"), inner)
    (error,) = response.errors
    assert (error.message, error.path) == ("no", ["a", "a"])
    assert response.is_removed(inner)


def test_an_error_at_a_non_null_place_fails_its_container() -> None:
    """It is raised, located, and not recorded yet."""
    response, (_, inner) = nested(NULLABLE, NON_NULL)
    with pytest.raises(GraphQLError) as caught:
        response.record_error(ValueError("no"), inner)
    assert caught.value.path == ["a", "a"]
    assert response.errors == []


def test_a_late_error_at_a_nullable_place_writes_null() -> None:
    """At once."""
    response, (_, inner) = nested(NULLABLE, NULLABLE)
    response.record_late_error(ValueError("no"), inner)
    assert response.data == {"a": {"a": None}}
    assert [error.path for error in response.errors] == [["a", "a"]]


def test_a_late_error_is_propagated_to_the_closest_nullable_place() -> None:
    """When the run says so."""
    response, places = nested(NULLABLE, NULLABLE, NON_NULL, NON_NULL)
    response.record_late_error(ValueError("no"), places[3])
    assert response.errors == []
    response.propagate_nulls()
    assert response.data == {"a": {"a": None}}
    assert [error.path for error in response.errors] == [["a", "a", "a", "a"]]
    assert [response.is_removed(place) for place in places] == [False, True, True, True]


def test_a_late_error_that_no_place_catches_makes_the_data_null() -> None:
    """Then every place is removed."""
    response, places = nested(NON_NULL, NON_NULL)
    response.record_late_error(ValueError("no"), places[1])
    response.propagate_nulls()
    assert response.data is None
    assert [error.path for error in response.errors] == [["a", "a"]]
    assert all(map(response.is_removed, places))


def test_a_late_error_of_a_removed_place_is_not_reported() -> None:
    """Of two errors under one nullable place, the second finds it null."""
    response, places = nested(NULLABLE, NON_NULL, NON_NULL)
    response.record_late_error(ValueError("first"), places[2])
    response.record_late_error(ValueError("second"), places[1])
    response.propagate_nulls()
    assert [error.message for error in response.errors] == ["first"]


def test_a_place_is_removed_by_a_null_around_it_and_not_beside_it() -> None:
    """By the identity of the places: an equal place of another list item is another place."""
    out: list[Any] = [{}, {}]
    response = Response({"a": out})
    items: list[Place] = [(None, index, out, NULLABLE) for index in (0, 1)]
    fields: list[Place] = [(item, "b", out[0], NULLABLE) for item in items]
    response.record_late_error(ValueError("no"), items[0])
    assert [response.is_removed(place) for place in fields] == [True, False]
