"""Unusual values from services: each is shown, or only its own object fails."""

import json
from typing import Any

import httpx
import pytest

from tests.bff.upstream.wire.peer import listening, response, say
from tests.support.demo import ANY_PORTS, running
from tests.support.fakes import an_order
from tests.support.gateways import running_gateway

QUERY = "{ me { orders { id createdAt } } }"


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.5-00:01"],
)
async def test_a_timestamp_whose_utc_is_out_of_range_keeps_its_offset(moment: str) -> None:
    """It is valid by RFC 3339, and must not fail all of the user's orders."""
    orders = [an_order(2, userId=1), an_order(1, userId=1) | {"createdAt": moment}]
    answer = response(json.dumps({"items": orders}).encode(), "content-type: application/json")
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [say(answer)]
        async with running_gateway({**urls, "orders": service.url}) as gateway:
            asked = await _ask(gateway.url, gateway.bearer("1"))
    assert "errors" not in asked
    shown = [order["createdAt"] for order in asked["data"]["me"]["orders"]]
    assert shown[1].replace("500000", "5") == moment
    assert shown[0].endswith("Z")


async def _ask(url: str, headers: dict[str, str]) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer: dict[str, Any] = (await client.post(f"{url}/web/graphql", json={"query": QUERY}, headers=headers)).json()
    return answer
