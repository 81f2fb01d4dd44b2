"""Locations of errors: line and column of the failed field, in a document of several lines."""

import pytest

from tests.support.faults import Fault
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

DOCUMENT = """query Q($s: Boolean!) {
  __typename @skip(if: $s)
  product(id: "1") {
    id
  }

      second: products(first: 2) { nodes { id } }
}
"""


@pytest.mark.parametrize("way", ["plan", "graphql-core"])
def test_a_service_s_error_has_the_location_of_its_field(
    gateway: RunningGateway, services: Tapped, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """With a plan and with graphql-core's executor. The extensions name the service."""
    if way != "plan":
        monkeypatch.setattr("bff.engine.operation.MOST_PLANS", 0)
    services.fail("products", Fault.STATUS_400)
    answer = gateway.ask("web", DOCUMENT, {"s": False})
    result = {error["path"][0]: error for error in answer["errors"]}
    assert result["product"]["locations"] == [{"line": 3, "column": 3}]
    assert result["second"]["locations"] == [{"line": 7, "column": 7}]
    assert {error["extensions"]["source"] for error in answer["errors"]} == {"products"}
