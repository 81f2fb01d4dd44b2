"""A short differential run of plans and graphql-core, with faults of the services."""

from typing import Any

import pytest

from bff.engine.located import located
from tests.fuzz.differential import Differential


async def test_plans_and_graphql_core_agree_while_services_fail() -> None:
    """The sources are down, slow or stale, or raise unexpected exceptions."""
    differential = Differential(5)
    for _ in range(60):
        assert await differential.step() is None


async def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With wrong locations in the plans' errors."""

    def locate_wrongly(*arguments: Any) -> Any:
        error = located(*arguments)
        error.locations = [place._replace(line=place.line + 1) for place in error.locations or ()]
        return error

    monkeypatch.setattr("bff.engine.response.located", locate_wrongly)
    differential = Differential(5)
    found = [await differential.step() for _ in range(30)]
    assert any(each and "errors" in each for each in found)
