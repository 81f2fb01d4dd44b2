"""A service or proxy that swaps the replies to two requests: no viewer sees another viewer's data."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bff.upstream.wire import Wire, WireOptions, WireRequest
from bff.upstream.wire.asyncio_wire import AsyncioWire
from bff.upstream.wire.httpx_wire import HttpxWire
from tests.bff.upstream.wire.peer import listening, response, say
from tests.conftest import StartGateway
from tests.support.demo import ANY_PORTS, running
from tests.support.fakes import a_product, a_user, an_order
from tests.support.faults import json_answer
from tests.support.gateways import RunningGateway, running_gateway
from tests.support.services import Tapped

VIEWERS = 16
OPERATIONS = 40
A_VIEWERS = 1000
"""The most orders of a user. An order's id implies its user."""
QUERIES = (
    "{ me { id email orders { id total } } }",
    '{ me { name email } order(id: "%d001") { id user { id email } } }',
    'mutation { updateProfile(input: {name: "x"}) { user { id email orders { id } } } }',
    'mutation { placeOrder(input: {items: [{productId: "1", quantity: 1}]}) { order { id user { id email } } } }',
    'mutation { cancelOrder(id: "%d001") { order { id user { id email } } } }',
)


class Mixer:
    """The users and the orders services, and before them a proxy that swaps the answers of viewers who ask at one moment."""

    def __init__(self) -> None:
        self.swapped = 0
        self.reused = 0
        """Requests on connections that had brought another's answer."""
        self._held: tuple[str, bytes, asyncio.Future[bytes]] | None = None
        self._number = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        brought_anothers = False
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                self.reused += brought_anothers
                answer = self._answer(head, body)
                said = await self._mixed(re.findall(r"(?i)x-user-id: (\S+)", head)[0], answer)
                brought_anothers = brought_anothers or said is not answer
                writer.write(said)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @staticmethod
    def _answer(head: str, body: bytes) -> bytes:
        method, target, _ = head.split(" ", 2)
        ids = [int(each) for each in re.findall(r"\d+", target.partition("&")[0])]
        if target.startswith("/users"):
            answer: Any = a_user(ids[0])
        elif "userIds" in target:
            answer = {"items": [an_order(ids[0] * A_VIEWERS + each, userId=ids[0]) for each in (3, 2, 1)]}
        elif not ids:
            user = json.loads(body)["userId"]
            answer = an_order(user * A_VIEWERS + 500, userId=user)
        else:
            answer = an_order(ids[0], userId=ids[0] // A_VIEWERS)
        return json_answer(json.dumps(answer).encode(), status="201 Created" if method == "POST" else "200 OK")

    async def _mixed(self, viewer: str, answer: bytes) -> bytes:
        """The reply, or every few requests the reply to another viewer."""
        self._number += 1
        held = self._held
        if held is not None and held[0] != viewer:
            self._held = None
            held[2].set_result(answer)
            self.swapped += 1
            return held[1]
        if held is not None or self._number % 3:
            return answer
        other: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._held = (viewer, answer, other)
        done, _ = await asyncio.wait({other}, timeout=0.05)
        if not done:
            self._held = None
            return answer
        return other.result()


@asynccontextmanager
async def mixing() -> AsyncIterator[tuple[Mixer, str]]:
    """A mixer and its URL."""
    mixer = Mixer()
    server = await asyncio.start_server(mixer.serve, "127.0.0.1", 0)
    try:
        yield mixer, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class Viewer:
    """A client that sends one operation after the other over one connection."""

    def __init__(self, gateway: RunningGateway, number: int) -> None:
        self._gateway = gateway
        self._number = number
        self.shown = 0
        self.failed = 0
        self.others: list[str] = []

    async def ask(self, times: int) -> None:
        """Run a number of operations, and note what is shown of other users."""
        host, _, port = self._gateway.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        token = self._gateway.token(str(self._number))
        for time in range(times):
            query = QUERIES[(time + self._number) % len(QUERIES)].replace("%d", str(self._number))
            body = json.dumps({"query": query}).encode()
            head = f"POST /web/graphql HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answered = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answered)
            assert length is not None
            self._look_at((await reader.readexactly(int(length[1]))).decode())
        writer.close()

    def _look_at(self, text: str) -> None:
        self.failed += '"errors"' in text
        users = re.findall(r"user(\d+)@", text)
        orders = re.findall(r'"id":"(\d{4,})"', text)
        self.shown += len(users) + len(orders)
        if {*map(int, users), *(int(each) // A_VIEWERS for each in orders)} - {self._number}:
            self.others.append(text)


async def test_no_viewer_sees_another_viewer_s_reply() -> None:
    """Profiles and orders, read and written. A connection with a wrong reply is not used again."""
    async with running(ports=ANY_PORTS) as urls, mixing() as (users, users_url), mixing() as (orders, orders_url):
        services = {**urls, "users": users_url, "orders": orders_url}
        async with running_gateway(services) as gateway:
            viewers = [Viewer(gateway, number) for number in range(1, VIEWERS + 1)]
            await asyncio.gather(*(viewer.ask(OPERATIONS) for viewer in viewers))
            metrics = gateway.app.served.services.metrics.text().decode()
    assert [viewer.others for viewer in viewers] == [[]] * VIEWERS
    assert users.swapped > 0
    assert orders.swapped > 0
    assert (users.reused, orders.reused) == (0, 0)
    assert sum(viewer.shown for viewer in viewers) > VIEWERS
    mismatched = sum(float(each) for each in re.findall(r'bff_upstream_calls_total{outcome="mismatch".*} (\S+)', metrics))
    assert mismatched > 0
    assert sum(viewer.failed for viewer in viewers) >= mismatched / 2


def answers_with(services: Tapped, name: str, body: Any, status: str = "200 OK") -> None:
    """From now on the service answers every request with this."""
    services.ports[name].custom = lambda _: json_answer(json.dumps(body).encode(), status=status)


@pytest.mark.parametrize(
    ("variant", "source", "query", "answered"),
    [
        ("web", "users", 'mutation { updateProfile(input: {name: "x"}) { user { id email } } }', a_user(2)),
        (
            "web",
            "orders",
            'mutation { placeOrder(input: {items: [{productId: "1", quantity: 1}]}) { order { id } } }',
            an_order(2, userId=2),
        ),
        ("admin", "orders", 'mutation { cancelOrder(id: "1") { order { id } } }', an_order(2)),
        ("admin", "orders", 'mutation { updateOrderStatus(id: "1", status: PAID) { order { id } } }', an_order(2)),
        ("admin", "products", 'mutation { updateProduct(id: "1", input: {stock: 1}) { product { id } } }', a_product(2)),
    ],
    ids=["profile", "order placed", "order cancelled", "order moved on", "product"],
)
def test_a_write_s_reply_must_be_the_written_object(
    start_gateway: StartGateway, services: Tapped, variant: str, source: str, query: str, answered: Any
) -> None:
    """Another object, or another owner's, is an error: the outcome of the write is unknown. It is sent once."""
    gateway = start_gateway()
    answers_with(services, source, answered)
    answer = gateway.ask(variant, query, sub="1", role="admin" if variant == "admin" else None)
    assert answer["data"] is None
    expected = {"code": "UPSTREAM_ERROR", "source": source, "outcome": "unknown"}
    assert [error["extensions"] for error in answer["errors"]] == [expected]
    assert services.ports[source].requests == 1


def test_an_order_keeps_its_owner_when_it_is_cancelled(start_gateway: StartGateway, services: Tapped) -> None:
    """A reply with the same order and another owner is not shown."""
    gateway = start_gateway()
    owners = iter([1, 2])
    services.ports["orders"].custom = lambda _: json_answer(json.dumps(an_order(1, userId=next(owners))).encode())
    answer = gateway.ask("web", 'mutation { cancelOrder(id: "1") { order { id } } }', sub="1")
    assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == (None, "UPSTREAM_ERROR")


@pytest.mark.parametrize(
    ("query", "source", "body"),
    [
        (
            "{ users(first: 2) { nodes { orders { id } } } }",
            "orders",
            {"items": [an_order(9, userId=1), an_order(8, userId=7)]},
        ),
        ("{ a: order(id: 1) { id } b: order(id: 2) { id } }", "orders", {"items": [an_order(1), an_order(2), an_order(3)]}),
        ("{ a: user(id: 1) { id } b: user(id: 2) { id } }", "users", {"items": [a_user(1), a_user(2), a_user(3)]}),
        ("{ order(id: 1) { id } }", "orders", an_order(2)),
        (
            "{ orders(status: PAID) { nodes { id } } }",
            "orders",
            {"items": [an_order(1), an_order(2, status="pending")], "nextCursor": None, "total": 2},
        ),
    ],
    ids=["orders of users", "orders", "users", "one order", "a page by status"],
)
def test_a_viewer_s_reply_with_other_rows_is_not_shown(
    start_gateway: StartGateway, services: Tapped, query: str, source: str, body: Any
) -> None:
    """It may be the reply to another viewer, so none of it is shown."""
    gateway = start_gateway()
    answers_with(services, source, body)
    answer = gateway.ask("admin", query)
    codes = {(error["extensions"]["code"], error["extensions"]["source"]) for error in answer["errors"]}
    assert codes == {("UPSTREAM_ERROR", source)}
    assert re.findall(r"'id': '\d+'", str(answer["data"])) == []
    metrics = gateway.app.served.services.metrics.text().decode()
    assert f'bff_upstream_calls_total{{outcome="mismatch",source="{source}"}} 1.0' in metrics


def test_public_rows_that_were_requested_are_shown(start_gateway: StartGateway, services: Tapped) -> None:
    """Of products the requested rows are used. If other rows came too, a missing one is an error and not null."""
    gateway = start_gateway()
    body = {"items": [a_product(1), a_product(77)]}
    services.ports["products"].custom = lambda _: json_answer(json.dumps(body).encode(), "cache-control: public, max-age=60")
    query = "{ a: product(id: 1) { id } b: product(id: 2) { id } }"
    answer = gateway.ask("web", query)
    assert answer["data"] == {"a": {"id": "1"}, "b": None}
    assert [error["path"] for error in answer["errors"]] == [["b"]]
    body["items"] = [a_product(2), a_product(1)]
    assert gateway.ask("web", query) == {"data": {"a": {"id": "1"}, "b": {"id": "2"}}}
    assert services.ports["products"].requests == 2  # nothing of the first answer was kept


@pytest.mark.parametrize("make_wire", [AsyncioWire, HttpxWire], ids=["asyncio", "httpx"])
@pytest.mark.parametrize("closes", [True, False], ids=["closed", "kept"])
async def test_a_connection_with_a_wrong_reply_is_closed(make_wire: Callable[[WireOptions], Wire], closes: bool) -> None:
    """The next request uses another connection."""
    async with listening() as peer:
        peer.acts = [say(response(b"{}", "content-type: application/json"))]
        wire = make_wire(WireOptions(max_connections=1))
        ends: list[Awaitable[None]] = []
        for _ in range(2):
            request = WireRequest("GET", f"{peer.url}/users/1", ())
            reply = await wire.send(request, max_response_bytes=1000)
            assert reply.close is not None
            if closes:
                reply.close()
                reply.close()  # twice does no harm
                ends.append(peer.gone())
        assert peer.connections == (2 if closes else 1)
        for end in ends:
            await end
        await wire.aclose()
