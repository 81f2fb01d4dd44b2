"""The shop as an application: asked through the whole gateway, with services of canned answers."""

from bff import Viewer
from bff.testing import Answer, Clock, Reply, Scripted, running
from schema.app import app
from tests.support.fakes import a_product, a_user, an_order

ANN = Viewer("1")
ACCOUNT = "{ me { name orders(first: 2) { id status items { quantity product { name inStock } } } } }"


def shop() -> dict[str, Scripted]:
    """User 1 with two orders of products 8 and 21."""
    items = [an_order(2), an_order(1)]
    return {
        "users": Scripted({"/users/1": a_user(1)}),
        "orders": Scripted({"/orders?userIds=1&limit=2": {"items": items}}),
        "products": Scripted({"/products": {"items": [a_product(8), a_product(21)]}}),
    }


async def test_an_account_page_takes_three_calls() -> None:
    """The viewer, their orders and all products of these: one call of each service."""
    async with running(app, shop(), viewer=ANN) as gateway:
        answer = await gateway.ask("web", ACCOUNT)
    assert answer.errors == []
    assert [order["id"] for order in answer.data["me"]["orders"]] == ["2", "1"]
    assert [item["product"]["name"] for item in answer.data["me"]["orders"][0]["items"]] == ["Product 8", "Product 21"]
    assert sorted(answer.calls) == [
        ("orders", "GET", "/orders?userIds=1&limit=2"),
        ("products", "GET", "/products?ids=8,21"),
        ("users", "GET", "/users/1"),
    ]


async def test_a_failing_service_costs_its_own_part_of_the_graph() -> None:
    """Orders are null with an error at their path, and the user is there."""
    services = shop()
    services["orders"].fail(500)
    async with running(app, services, viewer=ANN) as gateway:
        answer = await gateway.ask("web", ACCOUNT)
    assert (answer.status, answer.data) == (200, {"me": {"name": "User 1", "orders": None}})
    assert list(answer.codes) == ["me.orders"]


async def test_a_breaker_opens_and_recovers_by_the_clock() -> None:
    """After failures the orders service is left alone for 30 seconds; then a call probes it, and it is used again."""
    services, clock = shop(), Clock()

    async def ask() -> Answer:
        return await gateway.ask("web", ACCOUNT)

    settings = {"sources": {"orders": {"retry": {"attempts": 1}}}}
    async with running(app, services, settings, viewer=ANN, clock=clock) as gateway:
        services["orders"].fail(500)
        failed = [await ask() for _ in range(5)]
        services["orders"].recover()
        refused = await ask()
        states = (await gateway.request("GET", "/ready")).json["sources"]
        clock.advance(30)
        recovered = await ask()
    assert all(("orders", "GET", "/orders?userIds=1&limit=2") in each.calls for each in failed)
    assert [source for source, _, _ in refused.calls] == ["users"]
    assert refused.data["me"] == {"name": "User 1", "orders": None}
    assert states == {"users": {"breaker": "closed"}, "orders": {"breaker": "open"}, "products": {"breaker": "closed"}}
    assert len(recovered.data["me"]["orders"]) == 2


async def test_a_stale_product_stands_in_while_its_service_is_down() -> None:
    """What a service lets be used after an error is shown, and the response says how old it is."""
    reply = Reply.of(a_product(8), headers={"cache-control": "max-age=10, stale-if-error=600"})
    services, clock = {"products": Scripted({"/products/8": reply})}, Clock()
    async with running(app, services, clock=clock) as gateway:
        await gateway.ask("web", '{ product(id: "8") { name } }')
        services["products"].fail(500)
        clock.advance(60)
        answer = await gateway.ask("web", '{ product(id: "8") { name } }')
    assert answer.data == {"product": {"name": "Product 8"}}
    assert answer.body["extensions"]["degraded"] == [{"path": ["product"], "source": "products", "age": 60}]


async def test_an_order_is_placed_with_the_viewers_identity_and_a_key() -> None:
    """The service is sent who orders, what, and a key by which it does the work once."""
    orders = Scripted().on("POST", "/orders", Reply.of(an_order(3), 201))
    place = 'mutation { placeOrder(input: {items: [{productId: "8", quantity: 2}]}) { order { id } userErrors { code } } }'
    async with running(app, {"orders": orders}, viewer=ANN) as gateway:
        answer = await gateway.ask("web", place)
    assert answer.data == {"placeOrder": {"order": {"id": "3"}, "userErrors": []}}
    (request,) = orders.requests
    assert request.json == {"userId": 1, "items": [{"productId": 8, "quantity": 2}]}
    assert request.headers["x-user-id"] == "1"
    assert request.headers["idempotency-key"]


async def test_the_admin_variant_needs_its_role() -> None:
    """A user is refused, an administrator sees the sources."""
    admin = Viewer("1", frozenset({"admin"}))
    async with running(app, shop()) as gateway:
        user = await gateway.ask("admin", "{ sources { name } }", viewer=ANN)
        allowed = await gateway.ask("admin", "{ sources { name } }", viewer=admin)
    assert user.status == 403
    assert [each["name"] for each in allowed.data["sources"]] == ["users", "orders", "products"]


async def test_the_demo_services_need_no_sockets() -> None:
    """Without services of its own a test runs in front of the shop's demo services."""
    async with running(app, viewer=ANN) as gateway:
        answer = await gateway.ask("web", ACCOUNT)
    assert answer.errors == []
    assert len(answer.calls) <= 3
