"""Deadlines: a variant's, those of single operations, and what a client asks for.

The time stands still in these tests. What a request has left is what the gateway tells a service in `X-Request-Timeout-Ms`.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bff.gate.manifests import hash_of
from bff.settings import SettingsError, load
from bff.testing import Clock, InMemoryGateway, Reply, Scripted, running
from schema.app import app

PRODUCT = {
    "id": 1,
    "sku": "S",
    "name": "N",
    "description": "D",
    "price": 1.5,
    "currency": "USD",
    "stock": 1,
    "category": "toys",
    "imageUrl": "https://cdn.example.com/1.jpg",
    "updatedAt": "2026-01-01T00:00:00Z",
}
QUERY = 'query Report { product(id: "1") { name } }'
HEADER = "x-request-timeout-ms"


class Served:
    """A gateway in front of one product, in time that stands still."""

    def __init__(self, gateway: InMemoryGateway, products: Scripted) -> None:
        self.gateway = gateway
        self.products = products

    @property
    def last_ms(self) -> int:
        """The milliseconds that the service was last given."""
        return int(self.products.requests[-1].headers[HEADER])

    async def left_ms(self, query: str = QUERY, variant: str = "web", headers: Mapping[str, str] | None = None) -> int:
        """The milliseconds that the service was given."""
        answer = await self.gateway.ask(variant, query, headers=headers)
        assert answer.data == {"product": {"name": "N"}}, answer.body
        return self.last_ms


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Served]:
    """Served with these settings. A service has more time than any request."""
    products = Scripted({"/products/1": Reply.of(PRODUCT, headers={"cache-control": "no-store"})})
    given = {"sources": {"products": {"timeout_s": 300}}, "rate": {"enabled": False}, **settings}
    async with running(app, {"products": products}, given, clock=Clock()) as gateway:
        yield Served(gateway, products)


def with_manifest(folder: Path, text: str = QUERY) -> str:
    """A manifest that trusts the document."""
    (folder / "app.json").write_text(json.dumps({"1": text}))
    return str(folder)


async def test_a_variant_may_have_a_deadline_of_its_own() -> None:
    """Longer or shorter than that of all requests. The other variants keep that."""
    async with served(request={"deadline_s": 8}, variants={"web": {"deadline_s": 20}, "mobile": {"deadline_s": 2}}) as to:
        assert await to.left_ms() == 20_000
        assert await to.left_ms(variant="mobile") == 2000
    async with served(request={"deadline_s": 8}) as to:
        assert await to.left_ms() == 8000


async def test_an_operation_s_deadline_may_be_shorter() -> None:
    """By its name, whoever wrote the document. Other operations keep the variant's."""
    async with served(variants={"web": {"deadlines": {"Report": 3.0}}}) as to:
        assert await to.left_ms() == 3000
        assert await to.left_ms(QUERY.replace("Report", "Other")) == 10_000
        assert await to.left_ms(QUERY.replace("query Report ", "")) == 10_000
        assert await to.left_ms(variant="mobile") == 10_000


async def test_a_longer_one_is_for_trusted_documents_only(tmp_path: Path) -> None:
    """A client that writes its own document could choose any name."""
    settings = {"web": {"deadlines": {"Report": 30.0}, "manifests": with_manifest(tmp_path)}}
    async with served(variants=settings) as to:
        assert await to.left_ms() == 30_000
        assert await to.left_ms(QUERY + " ") == 10_000
        body = json.dumps({"documentId": "1"}).encode()
        reply = await to.gateway.request("POST", "/web/graphql", headers={"content-type": "application/json"}, body=body)
        assert reply.status == 200
        assert to.last_ms == 30_000
        assert (await to.gateway.request("GET", "/web/api/Report")).status == 200
        assert to.last_ms == 30_000


async def test_a_registered_document_is_not_a_trusted_one(tmp_path: Path) -> None:
    """Anybody can register a document for its hash."""
    settings = {"web": {"deadlines": {"Report": 30.0}, "manifests": with_manifest(tmp_path, QUERY + " ")}}
    async with served(variants=settings) as to:
        digest = hash_of(QUERY)
        named = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
        bodies: list[dict[str, Any]] = [
            {"query": QUERY, "extensions": named},
            {"extensions": named},
            {"documentId": f"sha256:{digest}"},
        ]
        for body in bodies:
            reply = await to.gateway.request(
                "POST", "/web/graphql", headers={"content-type": "application/json"}, body=json.dumps(body).encode()
            )
            assert reply.json == {"data": {"product": {"name": "N"}}}
            assert to.last_ms == 10_000


async def test_each_operation_of_a_batch_has_its_own() -> None:
    """One with less time takes none from the others."""
    async with served(variants={"web": {"deadlines": {"Report": 3.0}}}) as to:
        batch = [{"query": QUERY}, {"query": "query Other { products(first: 1) { nodes { name } } }"}]
        to.products.on("GET", "/products", Reply.of({"items": [PRODUCT], "nextCursor": None, "total": 1}))
        reply = await to.gateway.request(
            "POST", "/web/graphql", headers={"content-type": "application/json"}, body=json.dumps(batch).encode()
        )
        assert [list(each) for each in reply.json] == [["data"], ["data"]]
        left = {request.target.partition("?")[0]: int(request.headers[HEADER]) for request in to.products.requests}
        assert left == {"/products/1": 3000, "/products": 10_000}


async def test_a_client_may_ask_for_less_time() -> None:
    """Never for more, and not for less than the minimum."""
    async with served(request={"deadline_s": 8, "min_deadline_s": 0.2}) as to:
        for wish, left in (("500", 500), ("7999", 7999), ("8001", 8000), ("999999999", 8000), ("1", 200)):
            assert await to.left_ms(headers={HEADER: wish}) == left


async def test_the_minimum_lengthens_nothing() -> None:
    """If it is longer than the deadline, the deadline holds."""
    async with served(request={"deadline_s": 1, "min_deadline_s": 5}) as to:
        assert await to.left_ms(headers={HEADER: "10"}) == 1000


async def test_a_client_s_wish_holds_for_operations_with_a_deadline(tmp_path: Path) -> None:
    """The shorter of both counts, also for a trusted document with more time than the others."""
    for own_s, wish, left in ((30.0, "500", 500), (0.25, "500", 250), (30.0, "20000", 20_000), (30.0, "40000", 30_000)):
        settings = {"web": {"deadlines": {"Report": own_s}, "manifests": with_manifest(tmp_path)}}
        async with served(variants=settings) as to:
            assert await to.left_ms(headers={HEADER: wish}) == left, (own_s, wish)


@pytest.mark.parametrize("wish", ["", "0", "-5", "1.5", "1e3", "5s", "\xb2", "1" * 10, "0x10", "5,6"])
async def test_a_malformed_wish_is_refused(wish: str) -> None:
    """With what was expected, before anything is called."""
    async with served() as to:
        answer = await to.gateway.ask("web", QUERY, headers={HEADER: wish})
        assert (answer.status, answer.codes) == (400, {"": "BAD_REQUEST"})
        assert "X-Request-Timeout-Ms: expected a single number of milliseconds" in answer.errors[0]["message"]
        assert answer.calls == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"deadline_s": 0}, "variants.web.deadline_s"),
        ({"deadline_s": 301}, "variants.web.deadline_s"),
        ({"deadlines": {"Report": 0}}, "variants.web.deadlines.Report"),
        ({"deadlines": {"Report": "nan"}}, "variants.web.deadlines.Report"),
        ({"deadlines": {"no name": 1}}, "variants.web.deadlines"),
        ({"deadlines": {f"A{number}": 1 for number in range(1001)}}, "variants.web.deadlines"),
        ({"limits": {"calls": 0}}, "variants.web.limits.calls"),
        ({"limits": {"waves": 0}}, "variants.web.limits.waves"),
    ],
)
async def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    """By their names."""
    with pytest.raises(SettingsError, match=message.replace(".", r"\.")):
        async with served(variants={"web": settings}):
            pass


def test_the_environment_sets_deadlines() -> None:
    """Of a variant, and of operations whose names have no capitals."""
    found = load(
        app,
        {
            "BFF_VARIANTS__WEB__DEADLINE_S": "4",
            "BFF_VARIANTS__WEB__DEADLINES__report": "5",
            "BFF_REQUEST__MIN_DEADLINE_S": "1",
        },
        default_file=None,
    )
    assert (found.variant("web").deadline_s, found.variant("web").deadlines) == (4, {"report": 5})
    assert found.request.min_deadline_s == 1
