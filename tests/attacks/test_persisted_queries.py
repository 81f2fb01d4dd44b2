"""Anonymous clients that register persisted queries can fill neither Redis nor the gateway."""

import shutil
from typing import Any

import pytest

from bff.gate.manifests import hash_of
from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway
from tests.support.redis import RunningRedis

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server; .ci/run installs it")


def named(query: str) -> dict[str, Any]:
    """The extension that names a query by its hash."""
    return {"persistedQuery": {"version": 1, "sha256Hash": hash_of(query)}}


def text(number: int, length: int) -> str:
    """A query of that many bytes."""
    return f"{{ a{number}: __typename }}".ljust(length, ",")


def registered(gateway: RunningGateway, query: str, **headers: str) -> bool:
    """Whether a query that was sent with its hash, and executed, is then known by the hash."""
    sent = gateway.post("web", {"query": query, "extensions": named(query)}, headers=headers)
    assert "errors" not in sent.json()
    return "errors" not in gateway.post("web", {"extensions": named(query)}, headers=headers).json()


def test_registrations_of_one_address_are_bounded(start_gateway: StartGateway, redis: RunningRedis) -> None:
    """Documents beyond its limit are executed and not registered, also if rates are off. Other clients can register."""
    gateway = start_gateway(BFF_REDIS__WAIT_S="10", REDIS_URL=redis.url)
    for number in range(60):
        query = text(number, 15_000)
        sent = gateway.post("web", {"query": query, "extensions": named(query)})
        assert sent.json() == {"data": {f"a{number}": "Query"}}
    keys = redis.cli("keys", "bff:1:document:*")
    assert 1 <= len(keys) <= 20
    assert all(0 < int(redis.cli("ttl", key)[0]) <= 600 for key in keys), "not requested by hash yet"
    assert registered(gateway, text(1000, 100), **gateway.bearer("1"))
    assert len(redis.cli("keys", "bff:1:document:*")) == len(keys) + 1


def test_a_document_is_kept_for_long_once_it_is_requested_by_hash(start_gateway: StartGateway, redis: RunningRedis) -> None:
    """Here, and at another gateway."""
    gateway = start_gateway(BFF_REDIS__WAIT_S="10", REDIS_URL=redis.url)
    query = text(1, 100)
    gateway.post("web", {"query": query, "extensions": named(query)})
    other = start_gateway(BFF_REDIS__WAIT_S="10", REDIS_URL=redis.url)
    (key,) = redis.cli("keys", "bff:*")
    assert int(redis.cli("ttl", key)[0]) <= 600
    assert "errors" not in other.post("web", {"extensions": named(query)}).json()
    other.post("web", {"extensions": named("{ b }")})  # asked in order: what came before it is done
    assert int(redis.cli("ttl", key)[0]) > 29 * 86_400


def test_a_long_document_is_executed_and_not_registered(start_gateway: StartGateway, redis: RunningRedis) -> None:
    """With Redis and without."""
    for environment in ({}, {"BFF_REDIS__WAIT_S": "10", "REDIS_URL": redis.url}):
        gateway = start_gateway(**environment)
        assert registered(gateway, text(1, 16 * 1024))
        assert not registered(gateway, text(2, 16 * 1024 + 1))
