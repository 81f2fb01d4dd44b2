"""A slow Redis, and one with unexpected values: no request waits long, and none fails."""

import shutil
import time
from typing import Any

import pytest

from bff.gate.manifests import hash_of
from tests.conftest import StartGateway
from tests.support.background import Background
from tests.support.gateways import RunningGateway
from tests.support.redis import RunningRedis, SlowPort, slow_port

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server; .ci/run installs it")
RATED = {
    "BFF_RATE__ENABLED": "true",
    "BFF_VARIANTS__WEB__RATE__BURST": "1000",
    "BFF_VARIANTS__WEB__RATE__PER_DAY": "100000",
    "BFF_VARIANTS__WEB__RATE__COST_PER_MINUTE": "100000",
}
QUERY = "{ __typename }"


def named(query: str) -> dict[str, Any]:
    """The extension that names a query by its hash."""
    return {"persistedQuery": {"version": 1, "sha256Hash": hash_of(query)}}


def is_up(gateway: RunningGateway) -> bool:
    """Whether the gateway says that Redis answers."""
    return "bff_shared_state_up 1.0" in gateway.http.get(f"{gateway.url}/metrics").text


@pytest.fixture
def slow(own_background: Background, redis: RunningRedis) -> SlowPort:
    """A port in front of Redis that can be made slow."""
    return own_background.enter(slow_port(redis))


def test_a_slow_redis_counts_as_unavailable(start_gateway: StartGateway, slow: SlowPort) -> None:
    """The first request stops waiting, and later requests don't use it at all."""
    gateway = start_gateway(**RATED, BFF_REDIS__WAIT_S="1", REDIS_URL=slow.url)
    body = {"query": QUERY, "extensions": named(QUERY)}
    assert gateway.post("web", body).json() == {"data": {"__typename": "Query"}}
    assert is_up(gateway)
    slow.delay_s = 2.0
    assert gateway.post("web", {"extensions": named("{ a }")}).status_code == 200
    assert not is_up(gateway)
    asked = slow.asked
    for _ in range(30):
        response = gateway.post("web", body)
        assert response.json() == {"data": {"__typename": "Query"}}
        assert "ratelimit" in response.headers
    # At most one ping a second, each on a new connection. Its reply is too slow as well.
    assert slow.asked - asked <= 10
    assert not is_up(gateway)
    slow.delay_s = 0.0
    for _ in range(100):
        if is_up(gateway):
            return
        time.sleep(0.1)
    raise AssertionError("Redis did not become available again")


@pytest.mark.parametrize("kind", ["set", "rpush", "zadd", "hash of no numbers"])
def test_a_value_of_another_type_counts_as_absent(start_gateway: StartGateway, redis: RunningRedis, kind: str) -> None:
    """Under each key that the gateway uses. Counting starts again, in Redis."""
    gateway = start_gateway(**RATED, BFF_REDIS__WAIT_S="10", REDIS_URL=redis.url)
    body = {"query": QUERY, "extensions": named(QUERY)}

    def ask() -> int:
        response = gateway.post("web", body)
        assert (response.status_code, response.json()) == (200, {"data": {"__typename": "Query"}})
        limits: str = response.headers["ratelimit"].partition('"requests";r=')[2]
        return int(limits.partition(";")[0])

    assert [ask(), ask()] == [999, 998]
    assert gateway.post("web", {"extensions": named(QUERY)}).json() == {"data": {"__typename": "Query"}}
    keys = redis.cli("keys", "bff:*")
    assert len(keys) == 4, "three counts and a document"
    for key in keys:
        redis.cli("del", key)
        if kind == "hash of no numbers":
            redis.cli("hset", key, "left", "nan", "at", "a while ago")
        else:
            redis.cli(kind, key, "1", "nonsense") if kind == "zadd" else redis.cli(kind, key, "nonsense")
    assert [ask(), ask()] == [999, 998], "counting starts again"
    counts = [key for key in keys if ":rate:" in key]
    assert [redis.cli("type", key) for key in counts] == [["hash"]] * 3, "in Redis"
    assert all(float(redis.cli("hget", key, "left")[0]) > 900 for key in counts)
    assert is_up(gateway)
    unknown = gateway.post("web", {"extensions": named("{ a }")})
    assert unknown.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


def test_a_document_of_another_type_counts_as_unknown(start_gateway: StartGateway, redis: RunningRedis) -> None:
    """For a gateway that has just started. The document can be registered again."""
    first = start_gateway(BFF_REDIS__WAIT_S="10", REDIS_URL=redis.url)
    body = {"query": QUERY, "extensions": named(QUERY)}
    assert first.post("web", body).status_code == 200
    assert first.post("web", {"extensions": named(QUERY)}).json() == {"data": {"__typename": "Query"}}
    (key,) = redis.cli("keys", "bff:*")
    redis.cli("del", key)
    redis.cli("lpush", key, "nonsense")
    second = start_gateway(BFF_REDIS__WAIT_S="10", REDIS_URL=redis.url)
    unknown = second.post("web", {"extensions": named(QUERY)}).json()
    assert unknown["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert is_up(second)
    assert second.post("web", body).status_code == 200
    assert second.post("web", {"extensions": named(QUERY)}).json() == {"data": {"__typename": "Query"}}
