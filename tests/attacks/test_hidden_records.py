"""A record that a rule hides and one that does not exist: their responses are the same, headers included."""

import json
from typing import Any

import pytest

from tests.support.gateways import RunningGateway

MISSING = "999999"
QUERIES = (
    "query($id: ID!) { order(id: $id) { id user { id } } }",
    'query($id: ID!) { order(id: $id) { id } own: order(id: "1") { id } }',
    "query($id: ID!) { products(first: 1) { nodes { id } } order(id: $id) { total items { product { name } } } }",
)


def responses(gateway: RunningGateway, query: str, order_id: str) -> list[tuple[int, dict[str, Any], str]]:
    """Two in a row: the second may be made of cached replies."""
    found = []
    for _ in range(2):
        parameters = {"query": query, "variables": json.dumps({"id": order_id})}
        response = gateway.http.get(f"{gateway.url}/web/graphql", params=parameters, headers=gateway.bearer("1"))
        headers = {name: value for name, value in response.headers.items() if name not in {"date", "x-request-id"}}
        found.append((response.status_code, headers, response.text))
    return found


@pytest.mark.parametrize("order_id", ["2", "1002"])
@pytest.mark.parametrize("query", QUERIES)
def test_no_header_tells_a_hidden_record_from_a_missing_one(dev_gateway: RunningGateway, query: str, order_id: str) -> None:
    """A reply that may be cached would show that there is an object."""
    hidden, missing = responses(dev_gateway, query, order_id), responses(dev_gateway, query, MISSING)
    assert json.loads(hidden[0][2])["data"]["order"] is None
    assert dev_gateway.ask("admin", query, {"id": order_id})["data"]["order"]
    assert hidden == missing
