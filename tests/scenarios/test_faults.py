"""Services that fail: every fault against every policy. Each costs its own part of the answer and no more."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from tests.conftest import StartGateway
from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

PLACE = 'mutation { placeOrder(input: { items: [{ productId: "1", quantity: 1 }] }) { order { id } } }'
QUERY = '{ user(id: "1") { name orders { id } } product(id: "1") { name } }'


@dataclass(frozen=True)
class Row:
    """What a fault comes to.

    Attributes:
        code: what the client is told, with `retry_after` where the service said when.
        counts: whether the breaker counts it against the service.
        again: whether the call is made a second time: a read, and a write under its key; and so, with a second instance,
            whether that one answers.
        stale: whether an old answer that the service allows to be used stands in.
    """

    code: str
    counts: bool
    again: bool
    stale: bool = True
    retry_after: int | None = None

    @property
    def tries(self) -> int:
        """How many calls the service sees for one."""
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
every_fault = pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name.lower())


def quick(fault: Fault, source: str = "ORDERS") -> dict[str, str]:
    """Settings that make short work of a fault that takes its time; all else gets its own, however busy the machine is."""
    slow = fault in {Fault.HANG, Fault.SLOW_LORIS}
    return {f"BFF_SOURCES__{source}__TIMEOUT_S": "0.4"} if slow else {}


def test_the_matrix_has_every_fault() -> None:
    """No fault is left without a word on what it does."""
    assert set(MATRIX) == set(Fault)


@every_fault
def test_a_fault_costs_its_own_part(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """Whatever orders does, the user's name and the product are there; one error says where, what and which service."""
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
    assert services.ports["orders"].requests == row.tries
    assert_nothing_leaks(str(answer), services)
    gateway.ask("web", QUERY, sub="1")
    sources = gateway.ask("admin", "{ sources { name breaker } }")["data"]["sources"]
    breakers = {source["name"]: source["breaker"] for source in sources}
    assert breakers == {"users": "CLOSED", "orders": "OPEN" if row.counts else "CLOSED", "products": "CLOSED"}


@every_fault
def test_a_write_meets_a_fault(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """It is told as a read's is; what is made again bears the same key and body, by which the work is done once."""
    gateway = start_gateway(**quick(fault))
    row = MATRIX[fault]
    services.fail("orders", fault)
    answer = gateway.ask("web", PLACE, sub="1")
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == row.code
    assert services.ports["orders"].requests == row.tries
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
    """`retry.attempts` 1: whatever comes of it."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__RETRY__ATTEMPTS="1", **quick(fault))
    services.fail("orders", fault)
    answer = gateway.ask("web", QUERY, sub="1")
    assert answer["errors"][0]["extensions"]["code"] == MATRIX[fault].code
    assert services.ports["orders"].requests == 1


@every_fault
def test_an_open_breaker_spares_the_service(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """Opened by the first failure: no second try, and none by those who come later. The first is told what happened."""
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
def test_a_second_instance(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """One of two is sick: what can be made again is answered by the other one; and it opens no breaker."""
    faulty = services.ports["orders"]
    gateway = start_gateway(ORDERS_SERVICE_URL=f"{faulty.url},{faulty.behind}", **quick(fault))
    row = MATRIX[fault]
    services.fail("orders", fault)
    codes: set[str] = set()
    for number in range(40):
        answer = gateway.ask("web", QUERY, sub="1")
        codes |= {error["extensions"]["code"] for error in answer.get("errors", ())}
        if faulty.requests >= 2 and number >= 5:
            break
    assert faulty.requests >= 1
    assert codes == (set() if row.again else {row.code})
    query = "{ sources { name breaker instances { number } } }"
    (orders,) = [each for each in gateway.ask("admin", query)["data"]["sources"] if each["name"] == "orders"]
    assert (orders["breaker"], len(orders["instances"])) == ("CLOSED", 2)


@every_fault
def test_what_is_old_stands_in(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """Where the service allows it, an old product is shown for a fault, without an error and marked; not for a refusal."""
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
def test_those_who_wait_for_the_same_share_the_fault(start_gateway: StartGateway, services: Tapped, fault: Fault) -> None:
    """Five ask for one product at once: the service sees what one would cost, and all five are told."""
    gateway = start_gateway(BFF_SOURCES__PRODUCTS__TIMEOUT_S="1")
    services.fail("products", fault)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: gateway.ask("web", '{ product(id: "1") { name } }'), range(5)))
    assert [answer["errors"][0]["extensions"]["code"] for answer in answers] == [TIMEOUT] * 5
    assert services.ports["products"].requests == 2


def test_a_redirect_leads_nowhere(gateway: RunningGateway, services: Tapped) -> None:
    """To another host least of all: tokens and keys would go along."""
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
def test_a_batch_that_is_not_as_asked(
    gateway: RunningGateway, services: Tapped, ids: list[int], expected: dict[str, object]
) -> None:
    """What is left out does not exist; order and repetition say nothing; what nobody asked for is dropped. One call."""
    body = b'{"items":[' + b",".join(_items(services.data.products.json(ids)) if ids else []) + b"]}"
    services.ports["products"].custom = lambda _: json_answer(body)
    assert gateway.ask("web", BATCH) == {"data": expected}
    assert services.ports["products"].requests == 1


def assert_nothing_leaks(text: str, services: Tapped) -> None:
    """No address, no word of a service's and no trace of code reaches a client."""
    ports = [url.rpartition(":")[2] for url in services.urls.values()]
    for secret in ("secret", "127.0.0.1", "localhost", "Traceback", "httpx", "File ", *ports):
        assert secret not in text


def test_after_the_window_fills_a_sick_service_is_left_alone(start_gateway: StartGateway, services: Tapped) -> None:
    """With orders down, five calls go out, then none until the half-open probe; the other sources notice nothing."""
    gateway = start_gateway(BFF_SOURCES__ORDERS__BREAKER__OPEN_S="30")
    now = time.monotonic()
    stack: Any = gateway.app.services.sources.orders._transport
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
def test_no_client_opens_a_breaker_by_what_it_asks(gateway: RunningGateway, services: Tapped, fault: Fault) -> None:
    """4xx answers never count: after many of them the next good call goes through."""
    services.fail("orders", fault)
    for _ in range(12):
        gateway.ask("web", QUERY, sub="1")
    services.fail("orders", None)
    assert "errors" not in gateway.ask("web", QUERY, sub="1")


def test_one_object_of_the_wrong_shape_is_lost_alone(gateway: RunningGateway, services: Tapped) -> None:
    """Of a batch, the object that lacks a required member is null with an error; the others are there."""
    items = [*_items(services.data.products.json([8, 21])), b'{"id":9,"sku":"SKU-00009"}']
    services.ports["products"].custom = lambda _: json_answer(b'{"items":[' + b",".join(items) + b"]}")
    query = '{ a: product(id: "8") { name } b: product(id: "9") { name } c: product(id: "21") { name } }'
    answer = gateway.ask("web", query)
    assert answer["data"] == {"a": {"name": "Product 8"}, "b": None, "c": {"name": "Product 21"}}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]) == (["b"], {"code": "UPSTREAM_ERROR", "source": "products"})


def test_one_order_of_the_wrong_shape_leaves_the_others(gateway: RunningGateway, services: Tapped) -> None:
    """Of a user's orders, the one that can't be read is left out and told; the list is not lost with it."""
    good = _items(services.data.orders.json([9001, 8001]))
    broken = good[0].replace(b'"paid"', b'"lost"').replace(b'"id":9001', b'"id":9500')
    services.ports["orders"].custom = lambda _: json_answer(b'{"items":[' + b",".join([broken, *good]) + b"]}")
    answer = gateway.ask("web", '{ user(id: "1") { name orders { id } } }', sub="1")
    assert answer["data"] == {"user": {"name": "User 1", "orders": [{"id": "9001"}, {"id": "8001"}]}}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]) == (["user", "orders"], {"code": "UPSTREAM_ERROR", "source": "orders"})


def test_a_page_keeps_the_place_of_what_it_lost(gateway: RunningGateway, services: Tapped) -> None:
    """In a connection the node that can't be read is null at its place, with an error there."""
    good = _items(services.data.products.json([1, 2]))
    body = b'{"items":[' + b",".join([good[0], b"17", good[1]]) + b'],"nextCursor":null,"total":3}'
    services.ports["products"].custom = lambda _: json_answer(body)
    answer = gateway.ask("web", "{ products { nodes { id } } }")
    assert answer["data"]["products"]["nodes"] == [{"id": "1"}, None, {"id": "2"}]
    assert [error["path"] for error in answer["errors"]] == [["products", "nodes", 1]]


def test_the_deadline_bounds_the_whole_operation(start_gateway: StartGateway, services: Tapped) -> None:
    """A service that may take its time gets no more of it than the operation has left."""
    gateway = start_gateway(BFF_REQUEST__DEADLINE_S="1.5", BFF_SOURCES__ORDERS__TIMEOUT_S="300")
    services.fail("orders", Fault.HANG)
    answer = gateway.ask("web", QUERY, sub="1")  # whose client would wait for 30 s
    assert answer["data"]["user"] == {"name": "User 1", "orders": None}
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_TIMEOUT"


def _items(joined: bytes) -> list[bytes]:
    return [msgspec.json.encode(record) for record in msgspec.json.decode(b"[" + joined + b"]")]
