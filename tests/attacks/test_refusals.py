"""Refused requests are charged too: to the address without a good token, and to the user with one."""

import httpx
import pytest

from bff.gate.consumers import digest_of, new_key
from tests.conftest import StartGateway

QUERY = {"query": "{ __typename }"}
BURST = 3
RATED = {"BFF_RATE__ENABLED": "true"}
for _variant in ("WEB", "ADMIN"):
    RATED[f"BFF_VARIANTS__{_variant}__RATE__BURST"] = str(BURST)
    RATED[f"BFF_VARIANTS__{_variant}__RATE__PER_MINUTE"] = "1"


@pytest.mark.parametrize("kind", ["no token", "a bad token", "no role", "a consumer's key for another variant", "a bad key"])
def test_refused_requests_are_charged(start_gateway: StartGateway, kind: str) -> None:
    """At `/admin`: after the burst the answer is 429, before the body is read. No other client's count is charged."""
    key = new_key()
    gateway = start_gateway(
        **RATED, BFF_CONSUMERS__PARTNER__KEY_SHA256=digest_of(key), BFF_CONSUMERS__PARTNER__VARIANTS="web"
    )
    headers, status = {
        "no token": ({}, 401),
        "a bad token": ({"authorization": "Bearer nonsense"}, 401),
        "no role": (gateway.bearer("7"), 403),
        "a consumer's key for another variant": ({"x-api-key": key}, 403),
        "a bad key": ({"x-api-key": "nobody's", **gateway.bearer("1", "admin")}, 401),
    }[kind]

    def ask(path: str) -> httpx.Response:
        return gateway.http.post(f"{gateway.url}/admin/{path}", json=QUERY, headers=headers)

    refused = [ask("graphql") for _ in range(BURST - 1)]
    assert [response.status_code for response in refused] == [status] * (BURST - 1)
    assert all("ratelimit" in response.headers for response in refused)
    assert ask("api/Nothing").status_code == status, "the trusted operations count as the graph does"
    limited = ask("graphql")
    assert (limited.status_code, limited.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
    assert gateway.post("admin", QUERY, headers=gateway.bearer("1", "admin")).status_code == 200
    assert gateway.post("web", QUERY).status_code == 200
