"""Two gateways in processes of their own, which share one Redis."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bff.gate.manifests import hash_of
from tests.support.gateways import SECRET, free_port
from tests.support.processes import Command, bff
from tests.support.redis import RunningRedis
from tests.support.services import Tapped

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server; .ci/run installs it")
LIMIT = 200
PRODUCT = '{ product(id: "1") { name } }'


@pytest.fixture
def pair(tmp_path: Path, services: Tapped, redis: RunningRedis) -> Iterator[list[tuple[str, Command]]]:
    """Two gateways: their URLs and processes."""
    environment = {
        **{f"{name.upper()}_SERVICE_URL": url for name, url in services.urls.items()},
        "JWT_SECRET": SECRET,
        "REDIS_URL": redis.url,
        # On a busy machine Redis may be slow, which is not what is tested here.
        "BFF_REDIS__WAIT_S": "10",
        "BFF_VARIANTS__WEB__RATE__BURST": str(LIMIT),
        "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1",
    }
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            port = free_port()
            arguments = ("serve", "--host", "127.0.0.1", "--port", str(port))
            command = stack.enter_context(bff(tmp_path, *arguments, environment=environment))
            made.append((f"http://127.0.0.1:{port}", command))
        for url, command in made:
            command.wait_until_ready(url)
        yield made


def test_together_they_grant_exactly_the_limit(pair: list[tuple[str, Command]], redis: RunningRedis) -> None:
    """Fifty concurrent clients, half at each. Without Redis each uses its own counts and logs it, and no request fails."""

    async def client(url: str, times: int) -> Counter[int]:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            answers = [await http.post(f"{url}/web/graphql", json={"query": "{ __typename }"}) for _ in range(times)]
            return Counter(answer.status_code for answer in answers)

    async def ask() -> Counter[int]:
        result = await asyncio.gather(*(client(pair[number % 2][0], 10) for number in range(50)))
        return sum(result, Counter())

    statuses = asyncio.run(ask())
    assert set(statuses) == {200, 429}
    assert abs(statuses[200] - LIMIT) <= LIMIT * 0.01
    redis.stop()
    url, command = pair[0]
    assert httpx.post(f"{url}/web/graphql", json={"query": "{ __typename }"}, trust_env=False).status_code == 200
    command.wait_for("Redis is unavailable: this gateway uses its own counts")
    assert "bff_shared_state_up 0" in httpx.get(f"{url}/metrics", trust_env=False).text
    redis.start()
    command.wait_for('"message":"shared state in Redis"')


def test_a_document_is_known_to_both(pair: list[tuple[str, Command]]) -> None:
    """Sent to one of them, and requested by its hash at the other."""
    (one, _), (other, _) = pair
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hash_of(PRODUCT)}}
    sent = httpx.post(f"{one}/web/graphql", json={"query": PRODUCT, "extensions": extensions}, trust_env=False)
    assert sent.json()["data"]["product"]["name"] == "Product 1"
    asked = httpx.post(f"{other}/web/graphql", json={"extensions": extensions}, trust_env=False)
    assert asked.json() == sent.json()
    mobile = httpx.post(f"{other}/mobile/graphql", json={"extensions": extensions}, trust_env=False)
    assert mobile.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
