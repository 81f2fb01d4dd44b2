"""Trusted operations as REST, over real sockets: parameters, statuses, caching, and their OpenAPI document."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import StartGateway
from tests.support.background import Background
from tests.support.faults import Fault
from tests.support.gateways import RunningGateway, running_gateway
from tests.support.services import Tapped

DOCUMENTS = {
    "Product": "query Product($id: ID!) { product(id: $id) { name price } }",
    "Page": """
        query Page($first: Int = 2, $category: String, $withPrice: Boolean = false) {
          products(first: $first, category: $category) { totalCount nodes { id ...Priced @include(if: $withPrice) } }
        }
        fragment Priced on Product { price }
    """,
    "Me": "query Me { me { id orders(first: 1) { id status } } }",
    "Both": 'query Both { product(id: "1") { name } user(id: "2") { name } }',
    "Theirs": "query Theirs($id: ID!) { user(id: $id) { name } }",
    "Cancel": "mutation Cancel($id: ID!) { cancelOrder(id: $id) { order { status } userErrors { code } } }",
    "Place": """
        mutation Place($input: PlaceOrderInput!) { placeOrder(input: $input) { order { id total } userErrors { code } } }
    """,
    "Many": "query Many($status: OrderStatus) { me { id orders(status: $status) { id } } }",
    "Broken": "query Broken { product(id: 1) { colour } }",
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest with `DOCUMENTS`."""
    path = tmp_path / "app-1.json"
    path.write_text(json.dumps({f"id-{name}": text for name, text in DOCUMENTS.items()}))
    return path


@pytest.fixture
def gateway(start_gateway: StartGateway, manifest: Path) -> RunningGateway:
    """A gateway whose web variant takes trusted documents only."""
    return start_gateway(
        BFF_VARIANTS__WEB__DOCUMENTS="trusted",
        BFF_VARIANTS__WEB__MANIFESTS=str(manifest),
        BFF_VARIANTS__ADMIN__MANIFESTS=str(manifest),
    )


Call = Callable[..., httpx.Response]


@pytest.fixture
def call(gateway: RunningGateway) -> Call:
    """Calls an operation, by default of the web variant: by GET, unless there is a body."""

    def call(
        name: str, *, method: str | None = None, headers: Any = None, variant: str = "web", **given: Any
    ) -> httpx.Response:
        method = method or ("POST" if "json" in given or "content" in given else "GET")
        return gateway.http.request(method, f"{gateway.url}/{variant}/api/{name}", headers=headers, **given)

    return call


def code(response: httpx.Response) -> str | None:
    """The code of the first error."""
    errors = response.json().get("errors")
    return errors[0]["extensions"]["code"] if errors else None


def test_a_query_by_get_and_by_post(call: Call) -> None:
    """Both have the same response, in GraphQL's format."""
    expected = {"data": {"product": {"name": "Product 1", "price": 101.0}}}
    got = call("Product", params={"id": "1"})
    assert got.status_code == 200
    assert got.json()["data"]["product"]["name"] == expected["data"]["product"]["name"]
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert call("Product", json={"id": "1"}).json() == got.json()


@pytest.mark.parametrize(
    ("parameters", "number", "has_price"),
    [({}, 2, False), ({"first": "3"}, 3, False), ({"first": "1", "withPrice": "true"}, 1, True)],
)
def test_parameters_have_types(call: Call, parameters: dict[str, str], number: int, has_price: bool) -> None:
    """A number is parsed as one, and an absent parameter has its default."""
    nodes = call("Page", params=parameters).json()["data"]["products"]["nodes"]
    assert len(nodes) == number
    assert all(("price" in node) is has_price for node in nodes)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("Page", {"first": "two"}, "first: expected an integer."),
        ("Page", {"first": ""}, "first: expected an integer."),
        ("Page", {"first": "1e3"}, "first: expected an integer."),
        ("Page", {"withPrice": "yes"}, "withPrice: expected true or false."),
        ("Page", [("first", "1"), ("first", "2")], "first: expected one value, got 2."),
        ("Page", {"frist": "1"}, "Unknown parameter frist: expected one of: category, first, withPrice."),
        ("Me", {"id": "1"}, "Unknown parameter id: expected none."),
        ("Product", {}, "Variable '$id' has invalid value: Expected a value of non-null type 'ID!' to be provided."),
        ("Many", {"status": "LOST"}, None),
    ],
)
def test_invalid_parameters_are_named(call: Call, services: Tapped, name: str, parameters: Any, message: str | None) -> None:
    """With 400, before any upstream call."""
    before = services.count().total()
    response = call(name, params=parameters)
    assert (response.status_code, code(response)) == (400, "BAD_USER_INPUT")
    assert message is None or response.json()["errors"][0]["message"] == message
    assert services.count().total() == before


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"{", 400, "BAD_USER_INPUT"),
        (b"[1]", 400, "BAD_USER_INPUT"),
        (b'{"id": 1.5}', 400, "BAD_USER_INPUT"),
        (b'{"id": "1", "x": 1}', 400, "BAD_USER_INPUT"),
        (b"\xff", 400, "BAD_USER_INPUT"),
        (b'{"id": "' + b"1" * 200_000 + b'"}', 413, "BAD_REQUEST"),
    ],
)
def test_invalid_bodies(call: Call, body: bytes, status: int, expected: str) -> None:
    """Each is refused with its status and code."""
    response = call("Product", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, code(response)) == (status, expected)


def test_enums_and_objects_as_parameters(call: Call, gateway: RunningGateway) -> None:
    """An enum is its name in a query string; an object is sent in a body."""
    many = call("Many", params={"status": "PAID"}, headers=gateway.bearer())
    assert many.status_code == 200
    assert many.json()["data"]["me"]["id"] == "1"
    place = {"input": {"items": [{"productId": "1", "quantity": 2}]}}
    placed = call("Place", json=place, headers=gateway.bearer())
    assert placed.json()["data"]["placeOrder"]["userErrors"] == []
    assert placed.json()["data"]["placeOrder"]["order"]["total"] > 0


def test_a_mutation_needs_post(call: Call, gateway: RunningGateway) -> None:
    """With a content type that no cross-site form can send."""
    got = call("Cancel", params={"id": "1"}, headers=gateway.bearer())
    assert (got.status_code, got.headers["allow"]) == (405, "POST, OPTIONS")
    assert call("Cancel", method="OPTIONS").headers["allow"] == "POST, OPTIONS"
    assert call("Product", method="OPTIONS").headers["allow"] == "GET, HEAD, POST, OPTIONS"
    form = call("Cancel", content=b"id=1", headers={**gateway.bearer(), "content-type": "application/x-www-form-urlencoded"})
    assert (form.status_code, code(form)) == (415, "CSRF_PREVENTION_FAILED")
    bare = call("Cancel", method="POST", headers=gateway.bearer())
    assert (bare.status_code, code(bare)) == (415, "CSRF_PREVENTION_FAILED")
    done = call("Cancel", json={"id": "999999"}, headers=gateway.bearer())
    assert done.json()["data"]["cancelOrder"]["userErrors"] == [{"code": "NOT_FOUND"}]
    assert call("Product", method="DELETE").status_code == 405


def test_authorization_is_that_of_the_variant(call: Call, gateway: RunningGateway, services: Tapped) -> None:
    """Tokens, roles and rules of fields. A response without data has the status of its error."""
    before = services.count().total()
    assert call("Me", headers={"authorization": "Bearer x"}).status_code == 401
    for name in ("Product", "Nothing"):
        assert call(name, variant="admin", params={"id": "1"}).status_code == 401
        assert call(name, variant="admin", params={"id": "1"}, headers=gateway.bearer("1")).status_code == 403
        # OPTIONS must not reveal which names exist either.
        assert call(name, variant="admin", method="OPTIONS").headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert call("Cancel", variant="admin", method="OPTIONS").headers["allow"] == "GET, HEAD, POST, OPTIONS"
    anonymous = call("Theirs", params={"id": "2"})
    assert (anonymous.status_code, code(anonymous)) == (401, "UNAUTHENTICATED")
    assert anonymous.headers["www-authenticate"] == "Bearer"
    other = call("Theirs", params={"id": "2"}, headers=gateway.bearer("1"))
    assert (other.status_code, code(other)) == (403, "FORBIDDEN")
    assert services.count().total() == before
    assert call("Product", variant="admin", params={"id": "1"}, headers=gateway.bearer("1", "admin")).status_code == 200


def test_partial_data_is_200(call: Call) -> None:
    """With the errors in the body."""
    response = call("Both")
    assert response.status_code == 200
    assert response.json()["data"]["product"] is not None
    assert code(response) == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", ["Nothing", "product", "Product/1", "%00", "id-Product"])
def test_an_unknown_name_is_404(call: Call, name: str) -> None:
    """With a body in GraphQL's format, as every other response."""
    response = call(name)
    assert response.status_code == 404


def test_a_document_that_is_no_longer_valid_is_500(call: Call) -> None:
    """The client did not write it, and can't correct it."""
    response = call("Broken")
    assert (response.status_code, code(response)) == (500, "GRAPHQL_VALIDATION_FAILED")


@pytest.mark.parametrize(
    ("fault", "status", "expected"),
    [
        (Fault.STATUS_503, 503, "UPSTREAM_UNAVAILABLE"),
        (Fault.NOT_JSON, 502, "UPSTREAM_ERROR"),
        (Fault.HANG, 504, "UPSTREAM_TIMEOUT"),
    ],
)
def test_a_service_that_is_down_is_5xx(
    start_gateway: StartGateway, manifest: Path, services: Tapped, fault: Fault, status: int, expected: str
) -> None:
    """By the kind of failure, with the source in the error. It must not be cached."""
    quick = {"BFF_SOURCES__PRODUCTS__TIMEOUT_S": "0.3"} if fault is Fault.HANG else {}
    gateway = start_gateway(BFF_VARIANTS__WEB__MANIFESTS=str(manifest), **quick)
    services.fail("products", fault)
    response = gateway.http.get(f"{gateway.url}/web/api/Product", params={"id": "1"})
    assert (response.status_code, code(response)) == (status, expected)
    assert response.json()["errors"][0]["extensions"]["source"] == "products"
    assert response.headers["cache-control"] == "no-store"


def test_a_get_can_be_cached_and_revalidated(call: Call) -> None:
    """As a GET of the GraphQL endpoint."""
    first = call("Product", params={"id": "1"})
    assert first.headers["cache-control"].startswith("public, ")
    again = call("Product", params={"id": "1"}, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = call("Product", method="HEAD", params={"id": "1"})
    assert (head.status_code, head.headers["etag"], head.content) == (200, first.headers["etag"], b"")


def test_rate_limits_are_shared_with_graphql(start_gateway: StartGateway, manifest: Path) -> None:
    """Requests to both are charged to the same limit, also those for unknown names."""
    gateway = start_gateway(
        BFF_RATE__ENABLED="true",
        BFF_VARIANTS__WEB__RATE__BURST="2",
        BFF_VARIANTS__WEB__RATE__PER_MINUTE="1",
        BFF_VARIANTS__WEB__MANIFESTS=str(manifest),
    )
    assert gateway.post("web", {"query": "{ __typename }"}).status_code == 200
    statuses = [gateway.http.get(f"{gateway.url}/web/api/{name}").status_code for name in ("Nothing", "Product")]
    assert statuses == [404, 429]


def test_the_last_of_several_versions_counts(start_gateway: StartGateway, tmp_path: Path) -> None:
    """In the order of the manifests' file names."""
    for version, field in (("1", "name"), ("2", "price")):
        text = f"query Product($id: ID!) {{ product(id: $id) {{ {field} }} }}"
        operations = [{"id": version, "body": text, "name": "Product", "type": "query"}]
        manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
        (tmp_path / f"app-{version}.json").write_text(json.dumps(manifest))
    gateway = start_gateway(BFF_VARIANTS__WEB__MANIFESTS=str(tmp_path))
    answer = gateway.http.get(f"{gateway.url}/web/api/Product", params={"id": "1"}).json()
    assert list(answer["data"]["product"]) == ["price"]


def test_operations_have_an_openapi_document(own_background: Background, services: Tapped, manifest: Path) -> None:
    """In dev mode. It has the types of parameters and responses; its page loads no files from other hosts."""
    hidden = {f"BFF_VARIANTS__{name}__OPENAPI": "false" for name in ("MOBILE", "ADMIN")}
    environment = {"BFF_VARIANTS__WEB__MANIFESTS": str(manifest), **hidden}
    gateway = own_background.enter(running_gateway(services.urls, environment, mode="dev"))
    page = gateway.http.get(f"{gateway.url}/docs")
    assert page.status_code == 200
    assert "sha256-" in page.headers["content-security-policy"]
    document = gateway.http.get(f"{gateway.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/web/api/Broken" not in document["paths"]
    product = document["paths"]["/web/api/Product"]["get"]
    assert product["parameters"] == [{"name": "id", "in": "query", "required": True, "schema": {"type": "string"}}]
    data = product["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]
    fields = data["properties"]["product"]
    assert (fields["type"], fields["required"]) == (["object", "null"], ["name", "price"])
    assert fields["properties"]["price"]["type"] == "number"
    page_ = document["paths"]["/web/api/Page"]["get"]
    (first,) = [each for each in page_["parameters"] if each["name"] == "first"]
    assert (first["required"], first["schema"]["default"], first["schema"]["type"]) == (False, 2, ["integer", "null"])
    assert list(document["paths"]["/web/api/Place"]) == ["post"]
    body = document["paths"]["/web/api/Place"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["input"] == {"$ref": "#/components/schemas/web.PlaceOrderInput"}
    assert document["components"]["schemas"]["web.OrderItemInput"]["required"] == ["productId", "quantity"]
    assert all(path.startswith("/web/") for path in document["paths"])


def test_examples_stand_in_for_a_manifest_in_dev(own_background: Background, services: Tapped, manifest: Path) -> None:
    """So that the page of `bff dev` shows something. Never in `serve`, and not beside a manifest."""
    gateway = own_background.enter(running_gateway(services.urls, mode="dev"))
    paths = gateway.http.get(f"{gateway.url}/openapi.json").json()["paths"]
    assert {"/web/api/Catalogue", "/mobile/api/Home", "/admin/api/Orders"} <= set(paths)
    answer = gateway.http.get(f"{gateway.url}/web/api/Catalogue", params={"first": "1"}).json()
    assert len(answer["data"]["products"]["nodes"]) == 1
    by_id = gateway.post("web", {"documentId": "Catalogue"}).json()
    assert by_id["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"

    environment = {"BFF_VARIANTS__WEB__MANIFESTS": str(manifest)}
    with_manifest = own_background.enter(running_gateway(services.urls, environment, mode="dev"))
    assert with_manifest.http.get(f"{with_manifest.url}/web/api/Catalogue").status_code == 404
    assert with_manifest.http.get(f"{with_manifest.url}/mobile/api/Home").status_code == 200
    serving = own_background.enter(running_gateway(services.urls, {"BFF_VARIANTS__WEB__OPENAPI": "true"}))
    assert serving.http.get(f"{serving.url}/openapi.json").json()["paths"] == {}
    assert serving.http.get(f"{serving.url}/web/api/Catalogue").status_code == 404
