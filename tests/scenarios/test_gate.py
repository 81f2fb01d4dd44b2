"""The gate over real requests: consumers, rates, limits, documents, and caching by others."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from bff.gate.consumers import digest_of, new_key
from bff.gate.manifests import hash_of
from bff.settings import Settings, SettingsError, load
from schema.app import app as shop_app
from tests.conftest import StartGateway
from tests.support.background import Background
from tests.support.gateways import SETTINGS, RunningGateway, running_gateway
from tests.support.services import Tapped

PRODUCT = '{ product(id: "1") { name } }'
PAGE = "query Page($first: Int) { products(first: $first) { nodes { id name } } }"
RATED = {"BFF_RATE__ENABLED": "true"}


def codes(response: httpx.Response) -> list[str]:
    """The codes of an answer's errors."""
    return [error["extensions"]["code"] for error in response.json().get("errors", ())]


def get(gateway: RunningGateway, query: str, variant: str = "web", **headers: str) -> httpx.Response:
    """The answer to a query by GET."""
    return gateway.http.get(f"{gateway.url}/{variant}/graphql", params={"query": query}, headers=headers)


# Consumers


def consumer(key: str, **settings: str) -> dict[str, str]:
    """The environment of a gateway with one consumer."""
    usual = {"KEY_SHA256": digest_of(key), "VARIANTS": "web,mobile"}
    return {f"BFF_CONSUMERS__PARTNER__{name}": value for name, value in {**usual, **settings}.items()}


def test_a_key_identifies_its_consumer(start_gateway: StartGateway, services: Tapped) -> None:
    """An unknown key is 401 and a key without access to the variant 403, before any call."""
    key = new_key()
    gateway = start_gateway(**consumer(key))
    assert (
        gateway.post("web", {"query": PRODUCT}, headers={"x-api-key": key}).json()["data"]["product"]["name"] == "Product 1"
    )
    before = services.count().total()
    for headers, variant, status, code in (
        ({"x-api-key": key + "x"}, "web", 401, "UNAUTHENTICATED"),
        ({"x-api-key": ""}, "web", 401, "UNAUTHENTICATED"),
        ({"x-api-key": "k" * 1000}, "web", 401, "UNAUTHENTICATED"),
        ({"x-api-key": key, **gateway.bearer("1", "admin")}, "admin", 403, "FORBIDDEN"),
    ):
        response = gateway.post(variant, {"query": PRODUCT}, headers=headers)
        assert (response.status_code, codes(response)) == (status, [code])
    assert services.count().total() == before


def test_a_request_may_have_a_key_and_a_token(start_gateway: StartGateway) -> None:
    """The user is the viewer, and the answer may not be shared."""
    key = new_key()
    gateway = start_gateway(**consumer(key))
    response = gateway.post("web", {"query": "{ me { id } }"}, headers={"x-api-key": key, **gateway.bearer("3")})
    assert response.json() == {"data": {"me": {"id": "3"}}}
    assert "X-API-Key" in response.headers["vary"]


# Rates


def test_a_request_beyond_the_rate_is_429(start_gateway: StartGateway, services: Tapped) -> None:
    """With the time to retry, before any call. Each variant and each user has counts of its own."""
    gateway = start_gateway(**{**RATED, "BFF_VARIANTS__WEB__RATE__BURST": "2", "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1"})
    answers = [gateway.post("web", {"query": PRODUCT}) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=2;w=120'
    assert answers[0].headers["ratelimit"].startswith('"requests";r=1;t=')
    refused = answers[2]
    assert codes(refused) == ["RATE_LIMITED"]
    assert 58 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["errors"][0]["extensions"]["retryAfter"] == int(refused.headers["retry-after"])
    before = services.count().total()
    assert gateway.post("web", {"query": PRODUCT}).status_code == 429
    assert services.count().total() == before
    assert gateway.post("web", {"query": PRODUCT}, headers=gateway.bearer("1")).status_code == 200
    assert gateway.post("mobile", {"query": PRODUCT}).status_code == 200


def test_concurrent_clients_get_exactly_the_burst(start_gateway: StartGateway) -> None:
    """Fifty at once."""
    gateway = start_gateway(**{**RATED, "BFF_VARIANTS__WEB__RATE__BURST": "100", "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1"})

    async def ask() -> list[int]:
        async with httpx.AsyncClient(timeout=30, trust_env=False, limits=httpx.Limits(max_connections=50)) as client:
            body = {"query": "{ __typename }"}
            sent = (client.post(f"{gateway.url}/web/graphql", json=body) for _ in range(300))
            return [response.status_code for response in await asyncio.gather(*sent)]

    statuses = asyncio.run(ask())
    assert (statuses.count(200), statuses.count(429)) == (100, 200)


def test_bad_tokens_are_charged(start_gateway: StartGateway) -> None:
    """To the address."""
    gateway = start_gateway(**{**RATED, "BFF_VARIANTS__WEB__RATE__BURST": "2", "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1"})
    tried = [gateway.post("web", {"query": PRODUCT}, headers={"authorization": f"Bearer {n}"}).status_code for n in range(4)]
    assert tried == [401, 401, 429, 429]


def test_each_request_of_a_batch_is_charged(start_gateway: StartGateway) -> None:
    """A batch that exceeds the limit is refused as a whole."""
    gateway = start_gateway(**{**RATED, "BFF_VARIANTS__WEB__RATE__BURST": "5", "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1"})
    one = {"query": "{ __typename }"}
    assert len(gateway.post("web", [one, one, one]).json()) == 3
    assert gateway.post("web", [one, one, one]).status_code == 429


def test_cost_is_charged_and_corrected(start_gateway: StartGateway) -> None:
    """A hundred estimated products, of which there are three, cost three."""
    gateway = start_gateway(**{**RATED, "BFF_VARIANTS__WEB__RATE__COST_PER_MINUTE": "120"})
    few = {"query": '{ products(first: 100, search: "Product 10") { nodes { id } } }'}
    found = len(gateway.post("web", few).json()["data"]["products"]["nodes"])
    assert 0 < found < 20
    left = gateway.post("web", {"query": "{ __typename }"}).headers["ratelimit"]
    assert gateway.post("web", few).status_code == 200
    many = {"query": "{ a: products(first: 100) { nodes { id } } b: products(first: 50) { nodes { id } } }"}
    assert codes(gateway.post("web", many)) == ["RATE_LIMITED"]
    assert f'"cost";r={120 - found};' in left or f'"cost";r={121 - found};' in left


def test_behind_a_proxy_each_client_has_its_own_count(start_gateway: StartGateway) -> None:
    """By the address that a trusted proxy has added, and not by what the client has sent."""
    few = {**RATED, "BFF_VARIANTS__WEB__RATE__BURST": "1", "BFF_VARIANTS__WEB__RATE__PER_MINUTE": "1"}
    trusting = start_gateway(**{**few, "BFF_PROXIES__TRUSTED": "127.0.0.0/8"})
    for address in ("203.0.113.1", "203.0.113.2", "6.6.6.6, 203.0.113.3"):
        assert trusting.post("web", {"query": PRODUCT}, headers={"x-forwarded-for": address}).status_code == 200
    assert trusting.post("web", {"query": PRODUCT}, headers={"x-forwarded-for": "7.7.7.7, 203.0.113.3"}).status_code == 429
    wary = start_gateway(**few)
    assert wary.post("web", {"query": PRODUCT}, headers={"x-forwarded-for": "203.0.113.1"}).status_code == 200
    assert wary.post("web", {"query": PRODUCT}, headers={"x-forwarded-for": "203.0.113.2"}).status_code == 429


# Limits


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"query": "{ " + "__typename " * 51 + "}"},
            "fields with the same response key in a selection set: 51, allowed are 50",
        ),
        (
            {"query": "{ " + "...F " * 30 + "} fragment F on Query { __typename me { id } }"},
            "root fields: 60, allowed are 50",
        ),
        ({"query": "{ __typename " + "@skip(if: false) " * 101 + "}"}, "directives: 101, allowed are 100"),
        (
            {"query": PRODUCT, "variables": {"a": json.loads("[" * 12 + "]" * 12)}},
            "depth of variables: more than 10, allowed are 10",
        ),
        ({"query": PRODUCT, "variables": {"a": [0] * 5001}}, "size of variables: more than 5000, allowed are 5000"),
    ],
)
def test_a_refusal_names_the_limit_and_the_value(gateway: RunningGateway, services: Tapped, body: Any, message: str) -> None:
    """Before any call."""
    response = gateway.post("web", body)
    assert codes(response) == ["QUERY_TOO_COMPLEX"]
    assert message in response.json()["errors"][0]["message"]
    assert services.count().total() == 0


# Batches


def test_a_batch_is_answered_in_order(gateway: RunningGateway) -> None:
    """A request that fails doesn't affect the others."""
    bodies = [{"query": PRODUCT}, {"query": "{ nonsense }"}, {}, {"query": PAGE, "variables": {"first": 2}}]
    response = gateway.post("web", bodies)
    assert response.status_code == 200
    first, second, third, fourth = response.json()
    assert first == {"data": {"product": {"name": "Product 1"}}}
    assert second["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert third["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert [each["id"] for each in fourth["data"]["products"]["nodes"]] == ["1", "2"]
    assert gateway.post("web", [{"query": PRODUCT}] * 11).status_code == 400
    assert gateway.post("web", []).status_code == 400


# Documents


def persisted(text: str, **more: Any) -> dict[str, Any]:
    """A request by hash."""
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_of(text)}}, **more}


def test_automatic_persisted_queries(gateway: RunningGateway) -> None:
    """Unknown at first, sent once with its text, then known by its hash. By GET the answer can be cached by a CDN."""
    response = gateway.post("web", persisted(PRODUCT))
    assert (response.status_code, codes(response)) == (200, ["PERSISTED_QUERY_NOT_FOUND"])
    assert response.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert response.headers["cache-control"] == "no-store"
    assert gateway.post("web", persisted(PRODUCT, query=PRODUCT)).json()["data"]["product"]["name"] == "Product 1"
    assert gateway.post("web", persisted(PRODUCT)).json()["data"]["product"]["name"] == "Product 1"
    by_get = gateway.http.get(
        f"{gateway.url}/web/graphql", params={"extensions": json.dumps(persisted(PRODUCT)["extensions"])}
    )
    assert by_get.json()["data"]["product"]["name"] == "Product 1"
    assert by_get.headers["cache-control"].startswith("public, max-age=")
    assert codes(gateway.post("mobile", persisted(PRODUCT))) == ["PERSISTED_QUERY_NOT_FOUND"]


def test_a_hash_must_match_its_document(gateway: RunningGateway) -> None:
    """No other document, and no invalid one, can be registered under it."""
    lie = gateway.post("web", persisted(PRODUCT, query="{ __typename }"))
    assert (lie.status_code, codes(lie)) == (400, ["BAD_REQUEST"])
    assert codes(gateway.post("web", persisted("{ nonsense }", query="{ nonsense }"))) == ["GRAPHQL_VALIDATION_FAILED"]
    assert codes(gateway.post("web", persisted("{ nonsense }"))) == ["PERSISTED_QUERY_NOT_FOUND"]
    odd = {"query": PRODUCT, "extensions": {"persistedQuery": {"version": 2, "sha256Hash": hash_of(PRODUCT)}}}
    assert codes(gateway.post("web", odd)) == ["PERSISTED_QUERY_NOT_SUPPORTED"]
    odd_values: list[Any] = [1, [], {"version": 1}, {"version": 1, "sha256Hash": "x"}]
    for junk in odd_values:
        assert codes(gateway.post("web", {"extensions": {"persistedQuery": junk}})) in (
            ["BAD_REQUEST"],
            ["PERSISTED_QUERY_NOT_SUPPORTED"],
        )


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    """The manifests of two app versions, in both formats."""
    apollo = {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [{"id": hash_of(PAGE), "name": "Page", "type": "query", "body": PAGE}],
    }
    (tmp_path / "app-1.json").write_text(json.dumps(apollo))
    (tmp_path / "app-2.json").write_text(json.dumps({"d41d8cd98f00b204": PRODUCT, hash_of(PAGE): PAGE}))
    return str(tmp_path)


def test_only_trusted_documents_are_executed(start_gateway: StartGateway, manifests: str, services: Tapped) -> None:
    """By id, by hash, or by the identical text. Others are refused before any call. Other variants are not affected."""
    trusted = {"BFF_VARIANTS__WEB__DOCUMENTS": "trusted", "BFF_VARIANTS__WEB__MANIFESTS": manifests}
    gateway = start_gateway(**trusted)
    for body in (
        {"documentId": f"sha256:{hash_of(PRODUCT)}"},
        {"documentId": "d41d8cd98f00b204"},
        {"query": PRODUCT},
        persisted(PRODUCT),
        {"documentId": f"sha256:{hash_of(PAGE)}", "variables": {"first": 1}},
    ):
        assert "errors" not in gateway.post("web", body).json()
    before = services.count().total()
    for body in (
        {"query": PRODUCT + " "},
        {"query": "{ __typename }"},
        {"documentId": "sha256:" + "0" * 64},
        persisted("{ __typename }"),
        persisted("{ __typename }", query="{ __typename }"),
    ):
        assert codes(gateway.post("web", body)) == ["OPERATION_NOT_ALLOWED"]
    assert services.count().total() == before
    assert gateway.post("mobile", {"query": "{ __typename }"}).status_code == 200


# What others may keep


def test_cache_control_of_answers(gateway: RunningGateway) -> None:
    """Public if all of it is, for the shortest lifetime. A viewer's is private, one with errors not cacheable."""
    public = get(gateway, PRODUCT)
    said = public.headers["cache-control"]
    assert said.startswith("public, max-age=")
    assert 0 < int(said.rpartition("=")[2]) <= 30  # less by the age that the answer's `Date` gives it
    mine = get(gateway, "{ me { name } }", **gateway.bearer("1"))
    assert mine.headers["cache-control"] == "private, no-cache"
    both = get(gateway, '{ me { name } product(id: "1") { name } }', **gateway.bearer("1"))
    assert both.headers["cache-control"] == "private, no-cache"
    signed_in = get(gateway, PRODUCT, **gateway.bearer("1"))
    assert signed_in.headers["cache-control"].startswith("private, max-age=")
    for query in ("{ __typename }", '{ user(id: "1") { id } }', "{ nonsense }"):
        assert get(gateway, query).headers["cache-control"] == "no-store"
    wrote = gateway.post(
        "web", {"query": 'mutation { updateProfile(input: {name: "N"}) { user { id } } }'}, headers=gateway.bearer("1")
    )
    assert wrote.headers["cache-control"] == "no-store"
    assert {"Accept", "Authorization", "X-API-Key"} <= {each.strip() for each in public.headers["vary"].split(",")}


def test_an_answer_that_the_client_has_is_304(gateway: RunningGateway) -> None:
    """By its validator: weak or strong, one of several. A different answer has a different one."""
    first = get(gateway, PRODUCT)
    etag = first.headers["etag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = get(gateway, PRODUCT, **{"if-none-match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert again.headers["cache-control"].startswith("public")
    assert get(gateway, PRODUCT, **{"if-none-match": '"other"'}).status_code == 200
    assert get(gateway, '{ product(id: "2") { name } }', **{"if-none-match": etag}).status_code == 200
    head = gateway.http.head(f"{gateway.url}/web/graphql", params={"query": PRODUCT})
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)


def test_anonymous_responses_are_cached(start_gateway: StartGateway, services: Tapped) -> None:
    """By operation and variables. A write or an administrator evicts them. A viewer's responses are never cached."""
    environment = {"BFF_VARIANTS__WEB__ANSWERS__ENABLED": "true", "BFF_SOURCES__PRODUCTS__CACHE__ENABLED": "false"}
    gateway = start_gateway(**environment)

    def asked(first: int, headers: dict[str, str] | None = None) -> int:
        before = services.count().total()
        response = gateway.post("web", {"query": PAGE, "variables": {"first": first}}, headers=headers)
        assert len(response.json()["data"]["products"]["nodes"]) == first
        return services.count().total() - before

    assert [asked(2), asked(2), asked(3), asked(2)] == [1, 0, 1, 0]
    assert [asked(2, gateway.bearer("1")), asked(2, gateway.bearer("1"))] == [1, 1]
    admin = gateway.bearer("1", "admin")
    change = 'mutation { updateProduct(id: "1", input: {price: 5}) { product { price } } }'
    assert "errors" not in gateway.post("admin", {"query": change}, headers=admin).json()
    assert [asked(2), asked(2)] == [1, 0]
    assert (
        "errors"
        not in gateway.post("admin", {"query": "mutation { dropCache { userErrors { code } } }"}, headers=admin).json()
    )
    assert asked(2) == 1


# Administration


def test_an_administrator_clears_a_cache(
    gateway: RunningGateway, services: Tapped, caplog: pytest.LogCaptureFixture
) -> None:
    """Of one source, with an audit line; for an unknown source nothing is cleared."""
    caplog.set_level(logging.INFO, "bff.audit")
    gateway.ask("web", PRODUCT)
    gateway.ask("web", PRODUCT)
    assert services.count().total() == 1
    drop = "mutation ($source: String) { dropCache(source: $source) { sources { name } userErrors { code } } }"
    answer = gateway.ask("admin", drop, {"source": "products"})
    assert answer["data"]["dropCache"] == {"sources": [{"name": "products"}], "userErrors": []}
    gateway.ask("web", PRODUCT)
    assert services.count().total() == 2
    unknown = gateway.ask("admin", drop, {"source": "nothing"})
    assert unknown["data"]["dropCache"] == {"sources": [], "userErrors": [{"code": "NOT_FOUND"}]}
    (record,) = [each for each in caplog.records if each.name == "bff.audit"]
    assert record.fields["action"] == "drop_cache"  # type: ignore[attr-defined]


def test_an_administrator_reloads_the_settings(
    own_background: Background, services: Tapped, caplog: pytest.LogCaptureFixture
) -> None:
    """Changes that can be applied are, and others are named. There is an audit line. An invalid file changes nothing."""
    caplog.set_level(logging.INFO)
    now = {"products": "http://127.0.0.1:9"}
    broken: list[str] = []

    def load_again() -> Settings:
        if broken:
            raise SettingsError(broken[0])
        environment = {**SETTINGS, **{f"{name.upper()}_SERVICE_URL": url for name, url in {**services.urls, **now}.items()}}
        return load(
            shop_app,
            {
                **environment,
                "LOG_LEVEL": "debug" if now["products"] == services.urls["products"] else "info",
                "WORKERS": "2",
            },
        )

    gateway = own_background.enter(running_gateway({**services.urls, **now}, load_again=load_again))
    reload = "mutation { reloadSettings { moved changed needsRestart userErrors { message code } } }"
    assert gateway.ask("web", PRODUCT)["data"] == {"product": None}
    broken.append("sources.products.timeout_s: expected a number")
    result = gateway.ask("admin", reload)["data"]["reloadSettings"]
    assert result["moved"] == []
    assert result["userErrors"] == [{"message": "The settings can't be used: the log says why.", "code": "INVALID"}]
    broken.clear()
    now["products"] = services.urls["products"]
    result = gateway.ask("admin", reload)["data"]["reloadSettings"]
    assert result == {
        "moved": ["products"],
        "changed": ["log_level", "products_service_url"],
        "needsRestart": ["workers"],
        "userErrors": [],
    }
    assert gateway.ask("web", PRODUCT)["data"] == {"product": {"name": "Product 1"}}
    lines = [record.fields for record in caplog.records if record.name == "bff.audit"]  # type: ignore[attr-defined]
    assert [line["action"] for line in lines] == ["reload_settings"] * len(lines)
    assert lines
    for variant in ("web", "mobile"):
        assert gateway.ask(variant, reload, sub="1", role="admin")["errors"]
    assert gateway.post("admin", {"query": reload}).status_code == 401


# What a graph tells of itself


def test_introspection_is_a_setting_of_each_variant(start_gateway: StartGateway) -> None:
    """And so are suggestions."""
    gateway = start_gateway(
        BFF_VARIANTS__WEB__INTROSPECTION="true",
        BFF_VARIANTS__WEB__SUGGESTIONS="false",
        BFF_VARIANTS__MOBILE__SUGGESTIONS="true",
    )
    asks = "{ __schema { queryType { name } } }"
    assert gateway.ask("web", asks)["data"] == {"__schema": {"queryType": {"name": "Query"}}}
    assert gateway.ask("mobile", asks)["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    typo = "{ product(id: 1) { nam } }"
    assert "Did you mean" not in gateway.ask("web", typo)["errors"][0]["message"]
    assert "Did you mean 'name'" in gateway.ask("mobile", typo)["errors"][0]["message"]


# CORS, OPTIONS


def test_each_variant_has_its_own_cors_origins(start_gateway: StartGateway) -> None:
    """A variant's list replaces the general one, for preflights and answers."""
    environment = {"BFF_CORS__ORIGINS": "https://a.example", "BFF_VARIANTS__MOBILE__CORS__ORIGINS": "https://m.example"}
    gateway = start_gateway(**environment)
    for variant, origin, allowed in (
        ("web", "https://a.example", True),
        ("web", "https://m.example", False),
        ("mobile", "https://m.example", True),
        ("mobile", "https://a.example", False),
    ):
        response = gateway.post(variant, {"query": PRODUCT}, headers={"origin": origin})
        assert (response.headers.get("access-control-allow-origin") == origin) is allowed
        preflight = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-api-key",
        }
        assert gateway.http.options(f"{gateway.url}/{variant}/graphql", headers=preflight).is_success is allowed
    plain = gateway.http.options(f"{gateway.url}/web/graphql")
    assert (plain.status_code, plain.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")


@pytest.mark.parametrize(
    ("access", "statuses"),
    [
        ("anyone", [200, 200, 200]),
        ("signed_in", [401, 200, 401]),
        ("key", [401, 401, 200]),
        ("signed_in_or_key", [401, 200, 200]),
    ],
)
def test_a_variant_says_who_may_come_in(start_gateway: StartGateway, access: str, statuses: list[int]) -> None:
    """Nothing, a token, an API key: by GraphQL, and in the same way by /api. Health is for everybody."""
    gateway = start_gateway(
        BFF_VARIANTS__WEB__ACCESS=access,
        BFF_CONSUMERS__PARTNER__KEY_SHA256=digest_of("key"),
        BFF_CONSUMERS__PARTNER__VARIANTS="web",
    )
    requests: list[dict[str, str]] = [{}, gateway.bearer("1"), {"x-api-key": "key"}]
    ask = {"query": "{ __typename }"}
    assert [gateway.post("web", ask, headers=each).status_code for each in requests] == statuses
    expected = [404 if status == 200 else status for status in statuses]
    assert [gateway.http.get(f"{gateway.url}/web/api/none", headers=each).status_code for each in requests] == expected
    assert gateway.http.get(f"{gateway.url}/health").status_code == 200
    assert gateway.post("mobile", ask).status_code == 200
    assert gateway.post("admin", ask, headers={"x-api-key": "key"}).status_code in {401, 403}


def test_a_variant_s_scopes_are_needed_besides_its_role(start_gateway: StartGateway) -> None:
    """The settings add to what the application declares."""
    gateway = start_gateway(BFF_VARIANTS__ADMIN__ACCESS="anyone", BFF_VARIANTS__ADMIN__SCOPES="staff:read")
    ask = {"query": "{ __typename }"}
    assert gateway.post("admin", ask).status_code == 401
    assert gateway.post("admin", ask, headers=gateway.bearer("1")).status_code == 403
    assert gateway.post("admin", ask, headers=gateway.bearer("1", "admin")).status_code == 403
