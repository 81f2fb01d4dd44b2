"""Cached replies of services: none makes an object unreachable, is older than it says, or has only a part of the object."""

import json
import re
import time
from email.utils import formatdate

import httpx

from tests.conftest import StartGateway
from tests.support.fakes import a_product
from tests.support.faults import Fault, json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

PRODUCT = a_product(1)
WELL = {"data": {"product": {"name": "Product 1"}}}
QUERY = '{ product(id: "1") { name } }'


def product(request: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """The product that was asked for, with these headers."""
    found = re.match(rb"GET /products/(\d+) ", request)
    assert found is not None
    return json_answer(json.dumps(PRODUCT | {"id": int(found[1])}).encode(), *headers, status=status)


def serve(services: Tapped, *headers: str, status: str = "200 OK") -> list[bytes]:
    """Answer with this product from now on. Returns a list to which the requests are added."""
    port = services.ports["products"]
    port.custom = lambda request: product(request, *headers, status=status)
    return port.failed


def query(number: int) -> str:
    """A query for a product."""
    return f'{{ product(id: "{number}") {{ name }} }}'


UNSENDABLE = ['"Ж"', '"ü"', 'W/"ä"', '"a\tb"', '"' + "e" * 63_000 + '"', '"a", "b"', "*", '"a b"']


def test_an_etag_that_cannot_be_sent_makes_nothing_unreachable(gateway: RunningGateway, services: Tapped) -> None:
    """The object can still be read any number of times, without a validator."""
    for number, etag in enumerate(UNSENDABLE, 1):
        requests = serve(services, "cache-control: max-age=0", f"etag: {etag}")
        for _ in range(3):
            assert gateway.ask("web", query(number)) == WELL
        assert len(requests) == 3 * number
        assert not [request for request in requests if b"if-none-match" in request.lower()]


def test_a_service_that_rejects_its_own_etag_is_asked_without_it(gateway: RunningGateway, services: Tapped) -> None:
    """The request with the validator fails. One without it follows, and its answer is shown."""
    port = services.ports["products"]
    for number, status in enumerate(["400 Bad Request", "412 Precondition Failed", "431 Too Large"], 1):

        def answer(request: bytes, status: str = status) -> bytes:
            if b"if-none-match" in request.lower():
                return json_answer(b"{}", status=status)
            return product(request, "cache-control: no-cache", 'etag: "1"')

        port.custom = answer
        for _ in range(3):
            assert gateway.ask("web", query(number)) == WELL
        assert len(port.failed) == 5 * number


def test_clients_get_the_remaining_lifetime(gateway: RunningGateway, services: Tapped) -> None:
    """A reply with `max-age=60` that was 50 seconds old may be cached by clients for ten, the first time and the second."""
    cases = [
        (("cache-control: max-age=60", f"date: {http_date(-50)}"), 10),
        ((f"expires: {http_date(10)}", f"date: {http_date(-50)}"), 10),
        (("cache-control: max-age=60", "age: 55"), 5),
        (("cache-control: max-age=60", "vary: X-Request-ID"), None),
    ]
    for number, (headers, most_s) in enumerate(cases, 1):
        serve(services, *headers)
        for _ in range(2):
            result = gateway.post("web", {"query": query(number)}).headers["cache-control"]
            if most_s is None:
                assert result == "no-store"
            else:
                assert int(result.replace("no-cache", "max-age=0").partition("max-age=")[2]) <= most_s


def http_date(seconds: int) -> str:
    """An HTTP date that many seconds from now."""
    return formatdate(time.time() + seconds, usegmt=True)


def test_stale_while_revalidate_is_not_degraded(gateway: RunningGateway, services: Tapped) -> None:
    """The service allows it. Clients may not cache the answer."""
    serve(services, "cache-control: max-age=0, stale-while-revalidate=60")
    for _ in range(3):
        response = gateway.post("web", {"query": QUERY})
        assert response.json() == WELL
        assert response.headers["cache-control"] == "public, no-cache"


def test_a_stale_reply_is_shown_after_one_attempt_and_then_at_once(start_gateway: StartGateway, services: Tapped) -> None:
    """The service hangs, and nine retries are allowed: there is one call, and later requests don't wait."""
    gateway = start_gateway(BFF_SOURCES__PRODUCTS__TIMEOUT_S="1.5", BFF_SOURCES__PRODUCTS__RETRY__ATTEMPTS="10")
    serve(services, "cache-control: max-age=0, stale-if-error=300")
    assert gateway.ask("web", QUERY) == WELL
    services.fail("products", Fault.HANG)
    answers = [gateway.ask("web", QUERY)]
    assert services.ports["products"].requests == 1
    began = time.monotonic()
    answers += [gateway.ask("web", QUERY) for _ in range(5)]
    assert time.monotonic() - began < 6  # five attempts' patience would be 7.5
    for answer in answers:
        assert answer["data"] == WELL["data"]
        assert answer["extensions"]["degraded"][0]["source"] == "products"
    services.fail("products", None)


def test_a_viewer_s_stale_reply_is_shown_after_one_attempt(start_gateway: StartGateway, services: Tapped) -> None:
    """Each time, since nothing is revalidated in the background for a viewer."""
    gateway = start_gateway(BFF_SOURCES__USERS__TIMEOUT_S="0.3", BFF_SOURCES__USERS__RETRY__ATTEMPTS="10")
    user = {"id": 1, "name": "n", "email": "e", "tier": "plus", "createdAt": "2026-01-01T00:01:00Z"}
    port = services.ports["users"]
    port.custom = lambda _: json_answer(json.dumps(user).encode(), "cache-control: private, max-age=0, stale-if-error=300")
    token = gateway.bearer("1")
    gateway.post("web", {"query": "{ me { name } }"}, headers=token)
    services.fail("users", Fault.HANG)
    for number in (1, 2, 3):
        answer = gateway.post("web", {"query": "{ me { name } }"}, headers=token).json()
        assert answer["data"] == {"me": {"name": "n"}}
        assert answer["extensions"]["degraded"][0]["source"] == "users"
        assert port.requests == number
    services.fail("users", None)


PARTIAL = ["206 Partial Content", "203 Non-Authoritative", "202 Accepted", "226 IM Used", "207 Multi-Status"]


def test_a_partial_reply_is_not_cached(start_gateway: StartGateway, services: Tapped) -> None:
    """Though it can be read as an object, and is marked as cacheable."""
    gateway = start_gateway(BFF_SOURCES__PRODUCTS__BREAKER__MINIMUM_CALLS="1000")
    for number, status in enumerate(PARTIAL):
        requests = serve(services, "cache-control: max-age=60", "content-range: bytes 0-199/9000", status=status)
        for time_ in (1, 2):
            answer = gateway.ask("web", QUERY)
            assert answer["data"] == {"product": None}
            assert answer["errors"][0]["extensions"] == {"code": "UPSTREAM_ERROR", "source": "products"}
            assert len(requests) == 2 * number + time_


def test_a_write_that_timed_out_is_seen_when_it_takes_effect(start_gateway: StartGateway, services: Tapped) -> None:
    """The service acts after the gateway has given up, and after a read that still got the old state."""
    gateway = start_gateway(BFF_SOURCES__PRODUCTS__TIMEOUT_S="0.3", BFF_SOURCES__PRODUCTS__RETRY__ATTEMPTS="1")
    change = 'mutation { updateProduct(id: "5", input: { price: 1.5 }) { product { price } } }'
    read = '{ product(id: "5") { price } products(first: 5) { nodes { price } } }'
    services.fail("products", Fault.HANG)
    assert gateway.ask("admin", change)["errors"][0]["extensions"]["code"] == "UPSTREAM_TIMEOUT"
    services.fail("products", None)
    response = gateway.post("web", {"query": read})
    before = response.json()["data"]
    assert before["product"]["price"] != 1.5
    assert response.headers["cache-control"] == "public, no-cache"
    late = httpx.patch(
        f"{services.ports['products'].behind}/products/5",
        json={"price": 1.5},
        headers={"idempotency-key": "late", "x-user-id": "1"},
        trust_env=False,
    )
    assert late.status_code == 200
    after = gateway.ask("web", read)["data"]
    assert after["product"]["price"] == after["products"]["nodes"][4]["price"] == 1.5
