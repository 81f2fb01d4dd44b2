"""Every fault of a service against every policy. Each costs only its own part of the answer."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from datasources.orders import Orders
from tests.conftest import StartGateway
from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

PLACE = 'mutation { placeOrder(input: { items: [{ productId: "1", quantity: 1 }] }) { order { id } } }'
QUERY = '{ user(id: "1") { name orders { id } } product(id: "1") { name } }'


@dataclass(frozen=True)
class Row:
    """The effects of a fault.

    Attributes:
        code: the code that the client gets, with `retry_after` if the service has sent one.
        counts: whether the breaker counts the fault.
        again: whether the call is repeated: a read, and a write with its idempotency key. With a second instance, the
            repeated call goes to that one.
        stale: whether a stale reply is used instead, if the service allows it.
    """

    code: str
    counts: bool
    again: bool
    stale: bool = True
    retry_after: int | None = None

    @property
    def tries(self) -> int:
        """The number of calls that the service gets for one request."""
        return 2 if self.again else 1


UNAVAILABLE, ERROR, TIMEOUT = "UPSTREAM_UNAVAILABLE", "UPSTREAM_ERROR", "UPSTREAM_TIMEOUT"
MATRIX = {
    Fault.REFUSED: Row(UNAVAILABLE, counts=True, again=True),
    Fault.RESET: Row(UNAVAILABLE, counts=True, again=True),
    Fault.CLOSED: Row(UNAVAILABLE, counts=True, again=True),
    Fault.RESET_IN_BODY: Row(ERROR, counts=True, again=True),
    Fault.HANG: Row(TIMEOUT, counts=True, again=True),
    Fault.SLOW_LORIS: Row(TIMEOUT, counts=True, again=True),
    Fault.STATUS_500: Row(ERROR, counts=True, again=False),
    Fault.STATUS_502: Row(ERROR, counts=True, again=True),
    Fault.STATUS_504: Row(ERROR, counts=True, again=True),
    Fault.STATUS_503: Row(UNAVAILABLE, counts=True, again=False, retry_after=7),  # longer than anybody would wait
    Fault.STATUS_503_SOON: Row(UNAVAILABLE, counts=True, again=True, retry_after=1),
    Fault.STATUS_429: Row(UNAVAILABLE, counts=False, again=False, retry_after=3),
    Fault.STATUS_400: Row(ERROR, counts=False, again=False, stale=False),
    Fault.STATUS_401: Row("UNAUTHENTICATED", counts=False, again=False, stale=False),
    Fault.STATUS_403: Row("FORBIDDEN", counts=False, again=False, stale=False),
    Fault.REDIRECT: Row(ERROR, counts=True, again=False),
    Fault.TRUNCATED_JSON: Row(ERROR, counts=True, again=False),
    Fault.NOT_JSON: Row(ERROR, counts=True, again=False),
    Fault.WRONG_TYPE: Row(ERROR, counts=True, again=False),
    Fault.WRONG_SHAPE: Row(ERROR, counts=False, again=False),
    Fault.NO_HTTP: Row(ERROR, counts=True, again=True),  # an answer that broke off and one that is none look alike
    Fault.HUGE: Row(ERROR, counts=False, again=False),
    Fault.HUGE_DECLARED: Row(ERROR, counts=False, again=False),
    Fault.GZIP: Row(ERROR, counts=True, again=False),
}
NOT_EXECUTED = {
    Fault.STATUS_503,
    Fault.STATUS_503_SOON,
    Fault.STATUS_429,
    Fault.STATUS_400,
    Fault.STATUS_401,
    Fault.STATUS_403,
}
"""With these, a write was certainly not executed."""

every_fault = pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name.lower())


def quick(fault: Fault, source: str = "ORDERS") -> dict[str, str]:
    """A short timeout for faults that take long. Other faults have the usual one, since machines may be busy."""
    slow = fault in {Fault.HANG, Fault.SLOW_LORIS}
    return {f"BFF_SOURCES__{source}__TIMEOUT_S": "0.4"} if slow else {}


def requests_of_orders(services: Tapped, expected: int) -> int:
    """The number of requests that the service has got. On a busy machine it reads the last one after the gateway gave up."""
    until = time.monotonic() + 20
    while services.ports["orders"].requests < expected and time.monotonic() < until:
        time.sleep(0.01)
    return services.ports["orders"].requests


def test_the_matrix_has_every_fault() -> None:
    """Each fault has an expected effect."""
    assert set(MATRIX) == set(Fault)


@every_fault
def test_a_fault_costs_its_own_part(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """With any fault of orders the rest of the answer is there. One error has the path, the code and the service."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__BREAKER__MINIMUM_CALLS="2", **quick(fault))
    row = MATRIX[fault]
    services.fail("orders", fault)
    answer = gateway.ask("web", QUERY, sub="1")
    assert answer["data"] == {"user": {"name": "User 1", "orders": None}, "product": {"name": "Product 1"}}
    (error,) = answer["errors"]
    assert error["path"] == ["user", "orders"]
    assert error["extensions"]["code"] == row.code
    assert error["extensions"]["source"] == "orders"
    assert error["extensions"].get("retryAfter") == row.retry_after
    assert "extensions" not in answer
    assert requests_of_orders(services, row.tries) == row.tries
    assert_nothing_leaks(str(answer), services)
    gateway.ask("web", QUERY, sub="1")
    sources = gateway.ask("admin", "{ sources { name breaker } }")["data"]["sources"]
    breakers = {source["name"]: source["breaker"] for source in sources}
    assert breakers == {"users": "CLOSED", "orders": "OPEN" if row.counts else "CLOSED", "products": "CLOSED"}


@every_fault
def test_a_fault_of_a_write_is_reported(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """As a read's. A repeated call has the same idempotency key and body, so that the service acts once."""
    gateway = start_gateway(**quick(fault))
    row = MATRIX[fault]
    services.fail("orders", fault)
    answer = gateway.ask("web", PLACE, sub="1")
    assert answer["data"] is None
    extensions = answer["errors"][0]["extensions"]
    assert extensions["code"] == row.code
    assert extensions.get("outcome") == (None if fault in NOT_EXECUTED else "unknown")
    assert ("not known whether" in answer["errors"][0]["message"]) is (fault not in NOT_EXECUTED)
    assert requests_of_orders(services, row.tries) == row.tries
    keys = {
        line
        for request in services.ports["orders"].failed
        for line in request.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
        if line.startswith(b"idempotency-key:")
    }
    bodies = {request.partition(b"\r\n\r\n")[2] for request in services.ports["orders"].failed}
    assert (len(keys), len(bodies)) == ((0, 0) if fault is Fault.REFUSED else (1, 1))


@every_fault
def test_without_retries_each_call_is_made_once(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """With `retry.attempts` 1, for any fault."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__RETRY__ATTEMPTS="1", **quick(fault))
    services.fail("orders", fault)
    answer = gateway.ask("web", QUERY, sub="1")
    assert answer["errors"][0]["extensions"]["code"] == MATRIX[fault].code
    assert services.ports["orders"].requests == 1


@every_fault
def test_an_open_breaker_stops_calls(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """The first failure opens it: no retry, and no further calls. The first request gets the cause."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__BREAKER__MINIMUM_CALLS="1", **quick(fault))
    row = MATRIX[fault]
    services.fail("orders", fault)
    codes = [gateway.ask("web", QUERY, sub="1")["errors"][0]["extensions"]["code"] for _ in range(3)]
    if row.counts:
        assert codes == [row.code, UNAVAILABLE, UNAVAILABLE]
        assert services.ports["orders"].requests == 1
    else:
        assert codes == [row.code] * 3
        assert services.ports["orders"].requests == 3 * row.tries


@every_fault
def test_a_healthy_instance_answers_instead(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """One of two instances is faulty: calls that may be repeated go to the other one, and no breaker opens."""
    faulty = services.ports["orders"]
    gateway = start_gateway(ORDERS_SERVICE_URL=f"{faulty.url},{faulty.behind}", **quick(fault))
    row = MATRIX[fault]
    services.fail("orders", fault)
    codes: set[str] = set()
    for number in range(40):
        answer = gateway.ask("web", QUERY, sub="1")
        codes |= {error["extensions"]["code"] for error in answer.get("errors", ())}
        # A refused revalidation is repeated without its validator, perhaps at the other instance, without an error.
        if faulty.requests >= 2 and number >= 5 and (codes or row.again):
            break
    assert faulty.requests >= 1
    assert codes == (set() if row.again else {row.code})
    query = "{ sources { name breaker instances { number } } }"
    (orders,) = [each for each in gateway.ask("admin", query)["data"]["sources"] if each["name"] == "orders"]
    assert (orders["breaker"], len(orders["instances"])) == ("CLOSED", 2)


@every_fault
def test_a_stale_reply_replaces_a_fault(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """If the service allows it, a stale product is shown without an error, and marked. It replaces no refusal."""
    gateway = start_gateway(**quick(fault, "PRODUCTS"))
    row = MATRIX[fault]
    product = services.data.products.json([1])
    old = json_answer(product, "cache-control: max-age=0, stale-if-error=300", "age: 90")
    services.ports["products"].custom = lambda _: old
    gateway.ask("web", '{ product(id: "1") { name } }')
    services.fail("products", fault)
    answer = gateway.ask("web", '{ product(id: "1") { name } }')
    if row.stale:
        assert answer["data"] == {"product": {"name": "Product 1"}}
        assert "errors" not in answer
        (mark,) = answer["extensions"]["degraded"]
        assert (mark["path"], mark["source"]) == (["product"], "products")
        assert 90 <= mark["age"] <= 95
    else:
        assert answer["data"] == {"product": None}
        assert answer["errors"][0]["extensions"]["code"] == row.code
        assert "extensions" not in answer


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.SLOW_LORIS], ids=["hang", "slow_loris"])
def test_requests_that_share_a_call_share_its_fault(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """Five concurrent requests for one product: the service gets the calls of one, and all five get the error."""
    gateway = start_gateway(BFF_SOURCES__PRODUCTS__TIMEOUT_S="1")
    services.fail("products", fault)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: gateway.ask("web", '{ product(id: "1") { name } }'), range(5)))
    assert [answer["errors"][0]["extensions"]["code"] for answer in answers] == [TIMEOUT] * 5
    assert services.ports["products"].requests == 2


def test_redirects_are_not_followed(gateway: RunningGateway, services: Tapped) -> None:
    """Another host would get tokens and keys."""
    elsewhere = services.urls["users"]
    services.ports["orders"].custom = lambda _: json_answer(b"", f"location: {elsewhere}/secret", status="302 Found")
    gateway.ask("web", QUERY, sub="1")
    assert [target for name, _, target in services.calls if name == "users"] == ["/users/1"]


BATCH = '{ a: product(id: "8") { name } b: product(id: "9") { name } c: product(id: "21") { name } }'
WHOLE = {"a": {"name": "Product 8"}, "b": {"name": "Product 9"}, "c": {"name": "Product 21"}}


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([8, 21], WHOLE | {"b": None}),
        ([21, 9, 8], WHOLE),
        ([8, 8, 9, 9, 21, 21], WHOLE),
        ([8, 9, 21, 77, 78], WHOLE),
        ([], dict.fromkeys("abc")),
    ],
    ids=["missing", "out of order", "doubled", "unasked", "empty"],
)
def test_a_batch_reply_that_differs_from_its_request(
    gateway: RunningGateway, services: Tapped, ids: list[int], expected: dict[str, object]
) -> None:
    """A missing object doesn't exist, order and repetition don't matter, and other objects are dropped. One call."""
    body = b'{"items":[' + b",".join(_items(services.data.products.json(ids)) if ids else []) + b"]}"
    services.ports["products"].custom = lambda _: json_answer(body)
    assert gateway.ask("web", BATCH) == {"data": expected}
    assert services.ports["products"].requests == 1


def assert_nothing_leaks(text: str, services: Tapped) -> None:
    """No address, no text of a service and no stack trace reaches a client."""
    ports = [url.rpartition(":")[2] for url in services.urls.values()]
    for secret in ("secret", "127.0.0.1", "localhost", "Traceback", "httpx", "File ", *ports):
        assert secret not in text


def test_the_breaker_opens_after_the_minimum_of_calls(start_gateway: StartGateway, services: Tapped) -> None:
    """With orders down five calls are made, then none until the half-open probe. Other sources are not affected."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__BREAKER__OPEN_S="30")
    now = time.monotonic()
    stack: Any = gateway.app.served.services.sources[Orders]._transport
    breaker = stack._breaker
    breaker._clock = lambda: now
    services.fail("orders", Fault.STATUS_500)
    for number in range(1, 11):
        answer = gateway.ask("web", QUERY, sub="1")
        (error,) = answer["errors"]
        assert answer["data"] == {"user": {"name": "User 1", "orders": None}, "product": {"name": "Product 1"}}
        assert error["extensions"]["code"] == ("UPSTREAM_ERROR" if number <= 5 else "UPSTREAM_UNAVAILABLE")
        assert error["extensions"].get("retryAfter") == (None if number <= 5 else 30)
        assert services.ports["orders"].requests == min(number, 5)
    assert services.count() == {"users": 10, "products": 1}  # which may be kept for a while
    ready = gateway.http.get(f"{gateway.url}/ready")
    assert ready.status_code == 200
    states = {name: source["breaker"] for name, source in ready.json()["sources"].items()}
    assert states == {"users": "closed", "orders": "open", "products": "closed"}

    now += 30
    gateway.ask("web", QUERY, sub="1")
    gateway.ask("web", QUERY, sub="1")
    assert services.ports["orders"].requests == 6  # one probe, which failed; then left alone again

    services.fail("orders", None)
    now += 30
    answer = gateway.ask("web", QUERY, sub="1")
    assert "errors" not in answer
    assert len(answer["data"]["user"]["orders"]) == 10
    assert gateway.http.get(f"{gateway.url}/ready").json()["sources"]["orders"] == {"breaker": "closed"}


@pytest.mark.parametrize("fault", [Fault.STATUS_400, Fault.STATUS_401, Fault.STATUS_403, Fault.STATUS_429])
def test_a_client_can_not_open_a_breaker(gateway: RunningGateway, services: Tapped, fault: Fault) -> None:
    """4xx replies don't count: after many of them the next good call is made."""
    services.fail("orders", fault)
    for _ in range(12):
        gateway.ask("web", QUERY, sub="1")
    services.fail("orders", None)
    assert "errors" not in gateway.ask("web", QUERY, sub="1")


def test_one_invalid_object_of_a_batch_fails_alone(gateway: RunningGateway, services: Tapped) -> None:
    """The object that lacks a required member is null with an error. The others are there."""
    items = [*_items(services.data.products.json([8, 21])), b'{"id":9,"sku":"SKU-00009"}']
    services.ports["products"].custom = lambda _: json_answer(b'{"items":[' + b",".join(items) + b"]}")
    query = '{ a: product(id: "8") { name } b: product(id: "9") { name } c: product(id: "21") { name } }'
    answer = gateway.ask("web", query)
    assert answer["data"] == {"a": {"name": "Product 8"}, "b": None, "c": {"name": "Product 21"}}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]) == (["b"], {"code": "UPSTREAM_ERROR", "source": "products"})


def test_one_invalid_order_of_a_list_fails_alone(gateway: RunningGateway, services: Tapped) -> None:
    """It is left out with an error, and the others are there."""
    good = _items(services.data.orders.json([9001, 8001]))
    broken = good[0].replace(b'"paid"', b'"lost"').replace(b'"id":9001', b'"id":9500')
    services.ports["orders"].custom = lambda _: json_answer(b'{"items":[' + b",".join([broken, *good]) + b"]}")
    answer = gateway.ask("web", '{ user(id: "1") { name orders { id } } }', sub="1")
    assert answer["data"] == {"user": {"name": "User 1", "orders": [{"id": "9001"}, {"id": "8001"}]}}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]) == (["user", "orders"], {"code": "UPSTREAM_ERROR", "source": "orders"})


def test_an_invalid_node_of_a_page_is_null(gateway: RunningGateway, services: Tapped) -> None:
    """At its place, with an error."""
    good = _items(services.data.products.json([1, 2]))
    body = b'{"items":[' + b",".join([good[0], b"17", good[1]]) + b'],"nextCursor":null,"total":3}'
    services.ports["products"].custom = lambda _: json_answer(body)
    answer = gateway.ask("web", "{ products { nodes { id } } }")
    assert answer["data"]["products"]["nodes"] == [{"id": "1"}, None, {"id": "2"}]
    assert [error["path"] for error in answer["errors"]] == [["products", "nodes", 1]]


def test_the_deadline_bounds_the_whole_operation(start_gateway: StartGateway, services: Tapped) -> None:
    """A call may take only the time that the operation has left."""
    gateway = start_gateway(BFF_REQUEST__DEADLINE_S="1.5", BFF_SOURCES__ORDERS__TIMEOUT_S="300")
    services.fail("orders", Fault.HANG)
    answer = gateway.ask("web", QUERY, sub="1")  # the client itself would wait for 30 s
    assert answer["data"]["user"] == {"name": "User 1", "orders": None}
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_TIMEOUT"


def _items(joined: bytes) -> list[bytes]:
    return [msgspec.json.encode(record) for record in msgspec.json.decode(b"[" + joined + b"]")]
