"""Headers of calls: static ones, those of the client, and those that the client gets back."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from bff.upstream.caller import Caller, Identity
from bff.upstream.errors import CredentialsRefused, SourceError, Unauthenticated
from bff.upstream.headers import HeaderRules, ReturnedHeaders, forwarded_name, returned_name, static_name
from bff.upstream.traffic.stack import TrafficOptions
from bff.upstream.wire.httpx_wire import HttpxWire
from datasources.orders import Orders
from datasources.products import Products
from tests.support.fakes import Clock, Heard, Service, make_stack

LANGUAGE = HeaderRules(forwarded=("accept-language", "x-tenant"))


@pytest.fixture
def products(played_wire: HttpxWire, clock: Clock, heard: Heard, service: Service) -> Products:
    """The products source with cache, whose service answers in the language that it is asked in."""

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.headers.get("accept-language", "none")
        return httpx.Response(200, json={**PRODUCT, "name": name}, headers={"cache-control": "max-age=60", "etag": '"x"'})

    service.every = answer
    made = Products(make_stack(played_wire, clock, heard, options=TrafficOptions()), forward_identity=False)
    made.set_headers(LANGUAGE)
    return made


PRODUCT = {
    "id": 1,
    "sku": "s",
    "name": "n",
    "description": "d",
    "price": 1,
    "currency": "USD",
    "stock": 1,
    "category": "toys",
    "imageUrl": "u",
    "updatedAt": "2026-01-01T00:00:00Z",
}


def asking(caller: Caller, language: str | None = None, tenant: str | None = None) -> Caller:
    """The caller with these headers."""
    given = {"accept-language": language, "x-tenant": tenant}
    return replace(caller, forwarded={name: value for name, value in given.items() if value is not None})


async def name_for(products: Products, caller: Caller) -> str:
    """The name of product 1 as this caller gets it."""
    found: Any = (await products.by_id.load(caller, [1]))[1]
    name: str = found.name
    return name


async def test_replies_are_cached_for_equal_headers_alone(products: Products, service: Service, caller: Caller) -> None:
    """A language's reply is used again for that language, for none other, and not without one."""
    for _ in range(2):
        for language in ("de", "fr", None):
            assert await name_for(products, asking(caller, language)) == (language or "none")
    assert [each.headers.get("accept-language") for each in service.requests] == ["de", "fr", None]


async def test_concurrent_calls_are_shared_for_equal_headers_alone(
    products: Products, service: Service, caller: Caller
) -> None:
    """Neither by object nor by target."""
    callers = [asking(caller, language) for language in ("de", "fr", "de", "fr", None, None)]
    names = await asyncio.gather(*(name_for(products, each) for each in callers))
    assert names == ["de", "fr", "de", "fr", "none", "none"]
    assert sorted(each.headers.get("accept-language", "") for each in service.requests) == ["", "de", "fr"]


async def test_values_can_not_be_chosen_so_that_two_viewers_collide(
    products: Products, service: Service, caller: Caller
) -> None:
    """A value with another header's name and value in it is another value."""
    tricky = [("a", "b"), ("a\0x-tenant:b", None), ("a", None), (None, "a"), ("ab", None), ("a", "")]
    for language, tenant in tricky:
        await name_for(products, asking(caller, language, tenant))
    assert len(service.requests) == len(tricky)


async def test_a_forwarded_header_makes_the_response_private(products: Products, caller: Caller) -> None:
    """Shared caches must not store it for clients with other headers."""
    german = asking(caller, "de")
    await name_for(products, german)
    assert not german.freshness.is_shared


async def test_only_listed_headers_are_sent(products: Products, service: Service, caller: Caller) -> None:
    """Others of the client stay here."""
    await name_for(products, replace(caller, forwarded={"accept-language": "de", "x-other": "1"}))
    assert "x-other" not in service.last.headers


# Static headers


@pytest.fixture
def orders(played_wire: HttpxWire, clock: Clock, heard: Heard, service: Service) -> Orders:
    """The orders source, without cache and retries."""
    service.every = lambda _: httpx.Response(401)
    return Orders(make_stack(played_wire, clock, heard), forward_identity=True)


async def test_static_headers_are_sent_with_each_call(orders: Orders, service: Service, caller: Caller) -> None:
    """Reads and writes. A static `Authorization` is the gateway's own: of the user, the id is sent and the token is not."""
    orders.set_headers(HeaderRules(static=(("x-api-key", "k"), ("authorization", "Basic xyz"))))
    signed_in = replace(caller, identity=Identity("7", "Bearer token"))
    await orders.by_id.load(signed_in, [1])
    with pytest.raises(SourceError):
        await orders.cancel(signed_in, 1, key="k")
    for request in service.requests:
        assert request.headers["x-api-key"] == "k"
        assert request.headers.get_list("authorization") == ["Basic xyz"]
        assert request.headers["x-user-id"] == "7"


async def test_a_refusal_of_the_gateway_s_own_credential_is_no_matter_of_the_user(orders: Orders, caller: Caller) -> None:
    """A client would sign its user out on `UNAUTHENTICATED`."""
    signed_in = replace(caller, identity=Identity("7", "Bearer token"))
    assert isinstance((await orders.by_id.load(signed_in, [1]))[1], Unauthenticated)
    orders.set_headers(HeaderRules(static=(("authorization", "Basic xyz"),)))
    error = (await orders.by_id.load(signed_in, [1]))[1]
    assert isinstance(error, CredentialsRefused)
    assert error.code == "UPSTREAM_UNAVAILABLE"
    assert not error.counts


async def test_rules_change_while_calls_are_under_way(orders: Orders, service: Service, caller: Caller) -> None:
    """The next call has the new ones."""
    for value in ("old", "new"):
        orders.set_headers(HeaderRules(static=(("x-api-key", value),)))
        await orders.by_id.load(caller, [1])
    assert [each.headers["x-api-key"] for each in service.requests] == ["old", "new"]


# Names


@pytest.mark.parametrize(
    "name", ["content-length", "Transfer-Encoding", "host", "x_request_id", "x-user-id", "a b", "", "é", "x:y"]
)
def test_names_that_can_not_be_static(name: str) -> None:
    """Those of one message, those that the gateway sets itself, and what is no name."""
    with pytest.raises(ValueError, match=r"sets this header itself|name of a header"):
        static_name(name)


@pytest.mark.parametrize("name", ["authorization", "Cookie", "X-Forwarded-For", "x-api-key", "x-user-id", "connection"])
def test_names_that_are_never_forwarded(name: str) -> None:
    """Credentials, and what the client could pretend."""
    with pytest.raises(ValueError, match="never forwarded"):
        forwarded_name(name)


@pytest.mark.parametrize("name", ["cache-control", "Access-Control-Allow-Origin", "ratelimit-policy", "vary", "location"])
def test_names_that_are_never_returned(name: str) -> None:
    """They would say something about the gateway's own response."""
    with pytest.raises(ValueError, match="sets this header itself"):
        returned_name(name)


def test_underscores_are_hyphens() -> None:
    """As the names of environment variables need it."""
    assert static_name("X_API_KEY") == "x-api-key"
    assert forwarded_name("Accept-Language") == "accept-language"


# Returned headers


def test_cookies_of_writes_are_all_returned() -> None:
    """Those of reads are not, since a reply to a read may be shared."""
    returned = ReturnedHeaders()
    assert not returned.note(("set-cookie",), {"set-cookie": "a=1"}, is_read=True)
    assert not returned
    assert returned.note(("set-cookie",), {"set-cookie": "a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT\nb=2"}, is_read=False)
    assert returned.note(("set-cookie",), {"set-cookie": "c=3"}, is_read=False)
    names = [value.split(b"=")[0] for name, value in returned.headers() if name == b"set-cookie"]
    assert names == [b"a", b"b", b"c"]


def test_a_value_that_services_disagree_about_is_not_returned() -> None:
    """One language for the whole response, or none."""
    returned = ReturnedHeaders()
    names = ("content-language",)
    returned.note(names, {"content-language": "de"}, is_read=True)
    assert returned.headers() == ((b"content-language", b"de"),)
    returned.note(names, {"content-language": "fr"}, is_read=True)
    returned.note(names, {"content-language": "fr"}, is_read=True)
    assert returned.headers() == ()


@pytest.mark.parametrize("value", ["", "a\rb", "ä", "x" * 5000, " a", "a\x00"])
def test_values_that_can_not_be_returned(value: str) -> None:
    """They are left out."""
    returned = ReturnedHeaders()
    returned.note(("content-language", "set-cookie"), {"content-language": value, "set-cookie": value}, is_read=False)
    assert returned.headers() == ()


def test_the_number_of_cookies_is_bounded() -> None:
    """However many a service sends."""
    returned = ReturnedHeaders()
    for _ in range(10):
        returned.note(("set-cookie",), {"set-cookie": "\n".join(f"c{number}=1" for number in range(100))}, is_read=False)
    assert len(returned.headers()) == 20
