"""Caching and sharing of calls over real sockets: how many calls remain, stale replies, and separate viewers."""

import asyncio
import json
from collections import Counter
from contextlib import ExitStack

import httpx
import pytest

from bff.upstream.wire import WireOptions, WireRequest
from bff.upstream.wire.asyncio_wire import AsyncioWire
from tests.bff.upstream.wire.peer import Act, Peer, listening, moments, response, say
from tests.support.demo import ANY_PORTS, running
from tests.support.fakes import a_product
from tests.support.gateways import RunningGateway, running_gateway
from tests.support.services import Tapped
from tests.support.sockets import connected, until_closed

ACCOUNT = "{ me { id name orders(first: 10) { id items { quantity product { id name price } } } } }"
CATALOGUE = "{ products(first: 100) { totalCount nodes { id name price } } }"
PRODUCT = a_product(1)


HEAD = (
    b"POST /web/graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)


def test_a_warm_account_page_takes_two_calls(gateway: RunningGateway, services: Tapped) -> None:
    """User and orders are revalidated each time, and are not modified. Products are fresh in the cache."""
    token = gateway.bearer("1")  # one and the same: another token is another viewer
    first = gateway.post("web", {"query": ACCOUNT}, headers=token).json()
    assert len(first["data"]["me"]["orders"]) == 10
    assert services.count() == {"users": 1, "orders": 1, "products": 1}
    services.forget()
    assert gateway.post("web", {"query": ACCOUNT}, headers=token).json() == first
    assert services.count() == {"users": 1, "orders": 1}
    assert all("if-none-match" in headers for headers in services.headers)


def test_a_warm_catalogue_takes_no_calls(gateway: RunningGateway, services: Tapped) -> None:
    """Its products are cached also for a query by id and for another viewer's page."""
    first = gateway.ask("web", CATALOGUE)
    assert services.count() == {"products": 1}
    services.forget()
    assert gateway.ask("web", CATALOGUE, sub="2") == first
    gateway.ask("mobile", '{ a: product(id: "7") { name } b: product(id: "99") { name } }')
    assert services.count() == {}


def test_with_the_cache_off_every_call_is_made(start_gateway: object, services: Tapped) -> None:
    """It is a setting of each source."""
    gateway = start_gateway(BFF_SOURCES__PRODUCTS__CACHE__ENABLED="false")  # type: ignore[operator]
    for _ in range(2):
        gateway.ask("web", CATALOGUE)
    assert services.count() == {"products": 2}


def test_a_write_evicts_the_cached_product(gateway: RunningGateway, services: Tapped) -> None:
    """And the pages that may have it. Other entries stay."""
    gateway.ask("web", CATALOGUE)
    change = 'mutation { updateProduct(id: "5", input: { price: 1.5 }) { product { price } } }'
    gateway.ask("admin", change, sub="1", role="admin")
    services.forget()
    answer = gateway.ask("web", '{ a: product(id: "5") { price } b: product(id: "6") { name } }')
    assert answer["data"] == {"a": {"price": 1.5}, "b": {"name": "Product 6"}}
    assert [target for _, _, target in services.calls] == ["/products/5"]
    gateway.ask("web", CATALOGUE)
    assert services.count() == {"products": 2}


async def post(
    client: httpx.AsyncClient, gateway: RunningGateway, query: str, headers: dict[str, str] | None = None
) -> dict[str, object]:
    """Send one request."""
    found = await client.post(f"{gateway.url}/web/graphql", json={"query": query}, headers=headers)
    answer: dict[str, object] = found.json()
    return answer


async def test_concurrent_requests_share_calls() -> None:
    """Twenty requests for different products in one turn of the event loop make one call, or a few."""
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [answer_products(service)]
        async with running_gateway({**urls, "products": service.url}) as gateway:
            with ExitStack() as stack:
                clients = [stack.enter_context(connected(gateway.url)) for _ in range(20)]
                for number, client in enumerate(clients, 1):  # this blocks the event loop, which also serves
                    body = b'{"query":"{ product(id: %d) { id } }"}' % number
                    client.sendall(HEAD % len(body) + body)
                answers = await asyncio.gather(*(asyncio.to_thread(until_closed, client) for client in clients))
    assert [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers] == [
        {"data": {"product": {"id": str(number)}}} for number in range(1, 21)
    ]
    assert len(service.requests) < 10


def answer_products(service: Peer) -> Act:
    """The products of the last call, after a short delay."""

    async def act(writer: asyncio.StreamWriter) -> None:
        target = service.heads[-1].split()[1]
        ids = target.partition("ids=")[2].split(",") if "ids=" in target else [target.rpartition("/")[2]]
        await moments()
        items = [PRODUCT | {"id": int(each)} for each in ids]
        body = json.dumps({"items": items} if "ids=" in target else items[0]).encode()
        await say(response(body, "content-type: application/json", "cache-control: max-age=30"))(writer)

    return act


async def test_a_stale_reply_is_shown_and_marked() -> None:
    """The reply has expired and the service fails: it is shown without an error, and `extensions.degraded` names it."""
    said = "cache-control: max-age=0, stale-if-error=300"
    body = json.dumps(PRODUCT).encode()
    async with running(ports=ANY_PORTS) as urls, listening() as service:
        service.acts = [
            say(response(body, "content-type: application/json", said, "age: 100")),
            say(response(b"{}", status="500 Oh")),
        ]
        async with (
            running_gateway({**urls, "products": service.url}) as gateway,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            fresh = await post(client, gateway, '{ shown: product(id: "1") { name } }')
            stale = await post(client, gateway, '{ shown: product(id: "1") { name } }')
            none = await post(client, gateway, '{ shown: product(id: "2") { name } }')
    assert fresh == {"data": {"shown": {"name": "Product 1"}}}
    degraded = [{"path": ["shown"], "source": "products", "age": 100}]
    assert stale == {"data": {"shown": {"name": "Product 1"}}, "extensions": {"degraded": degraded}}
    assert none["data"] == {"shown": None}
    assert "extensions" not in none


async def test_two_viewers_under_load_see_only_their_own_data() -> None:
    """The same query two thousand times, interleaved, with all policies on."""
    query = json.dumps({"query": "{ me { id email orders(first: 2) { id user { id } } } }"}).encode()
    seen: Counter[tuple[str, str]] = Counter()
    wire = AsyncioWire(WireOptions(max_connections=20))
    async with running(ports=ANY_PORTS) as urls, running_gateway(urls) as gateway:

        async def ask(sub: str, token: tuple[str, str]) -> None:
            request = WireRequest("POST", f"{gateway.url}/web/graphql", (("Content-Type", "application/json"), token), query)
            reply = await wire.send(request, max_response_bytes=10_000)
            seen[sub, reply.body.decode()] += 1

        tokens = {sub: ("Authorization", f"Bearer {gateway.token(sub)}") for sub in ("1", "2")}
        for _ in range(20):
            await asyncio.gather(*(ask(sub, token) for _ in range(50) for sub, token in tokens.items()))
        await wire.aclose()
    assert set(seen.values()) == {1000}
    for sub, body in seen:
        orders = [{"id": f"{thousands}00{sub}", "user": {"id": sub}} for thousands in (9, 8)]
        assert json.loads(body) == {"data": {"me": {"id": sub, "email": f"user{sub}@example.com", "orders": orders}}}


@pytest.mark.parametrize("said", ["public, max-age=60", "max-age=60", "private, max-age=60"])
async def test_a_viewer_s_reply_marked_public_is_not_shared(said: str) -> None:
    """A service marks viewers' replies as public by mistake. Each viewer's first request still goes to the service."""

    async def who(writer: asyncio.StreamWriter) -> None:
        lines = users.requests[-1].decode().lower().split("\r\n")
        (number,) = [line.partition(":")[2].strip() for line in lines if line.startswith("x-user-id:")]
        user = {"id": int(number), "name": number, "email": "e", "tier": "plus", "createdAt": "2026-01-01T00:01:00Z"}
        body = json.dumps(user).encode()
        await say(response(body, "content-type: application/json", f"cache-control: {said}"))(writer)

    async with running(ports=ANY_PORTS) as urls, listening() as users:
        users.acts = [who]
        async with running_gateway({**urls, "users": users.url}) as gateway, httpx.AsyncClient(trust_env=False) as client:
            tokens = {sub: gateway.bearer(sub) for sub in ("1", "2")}  # made once: another token is another viewer
            for _ in range(3):
                for sub, token in tokens.items():
                    answer = await post(client, gateway, "{ me { name } }", token)
                    assert answer == {"data": {"me": {"name": sub}}}
    assert len(users.requests) == 2
