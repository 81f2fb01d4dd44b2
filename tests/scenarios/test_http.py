"""GraphQL over HTTP at a real endpoint: forms, statuses, refusals."""

import gzip
import re
import socket
from urllib.parse import urlsplit

import pytest

from tests.conftest import StartGateway
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

RESPONSE = "application/graphql-response+json"
JSON = "application/json"


@pytest.mark.parametrize(("accept", "form"), [(RESPONSE, RESPONSE), (JSON, JSON), ("*/*", JSON), (None, JSON)])
def test_both_forms_by_post_and_get(dev_gateway: RunningGateway, accept: str | None, form: str) -> None:
    """The client gets the media type that it asks for, in UTF-8, by either method."""
    headers = {"accept": accept} if accept else {}
    url = f"{dev_gateway.url}/web/graphql"
    request = dev_gateway.http.build_request("POST", url, json={"query": '{ product(id: "1") { name } }'}, headers=headers)
    if accept is None:
        del request.headers["accept"]
    responses = [dev_gateway.http.send(request)]
    if accept is not None:
        responses.append(dev_gateway.http.get(url, params={"query": '{ product(id: "1") { name } }'}, headers=headers))
    for response in responses:
        assert response.status_code == 200
        assert response.headers["content-type"] == f"{form}; charset=utf-8"
        assert response.json() == {"data": {"product": {"name": "Product 1"}}}
        assert re.fullmatch(r"public, max-age=\d+|public, no-cache", response.headers["cache-control"])
        assert "Accept" in response.headers["vary"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nonsense }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query ($id: ID!) { product(id: $id) { id } }"}, "BAD_USER_INPUT"),
        ({"query": "query ($id: ID!) { product(id: $id) { id } }", "variables": {"id": {}}}, "BAD_USER_INPUT"),
        ({"query": "query A { __typename } query B { __typename }"}, "BAD_USER_INPUT"),
        ({"query": "query A { __typename }", "operationName": "C"}, "BAD_USER_INPUT"),
        ({"query": "fragment F on Query { __typename }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}, "PERSISTED_QUERY_NOT_FOUND"),
        ({"documentId": "sha256:" + "0" * 64}, "PERSISTED_QUERY_NOT_FOUND"),
        ({"query": "{ " + "a: __typename " * 1000 + "}"}, "QUERY_TOO_COMPLEX"),
        ({"query": "{ me " * 20 + "{ id }" + " }" * 20}, "QUERY_TOO_COMPLEX"),
    ],
)
def test_a_well_formed_request_that_can_t_be_served(dev_gateway: RunningGateway, body: object, code: str) -> None:
    """It is 400 with the newer media type and 200 with the older one, and never has `data`."""
    for accept, status in ((RESPONSE, 400), (JSON, 200)):
        response = dev_gateway.post("web", body, headers={"accept": accept})
        assert response.status_code == status
        assert {error["extensions"]["code"] for error in response.json()["errors"]} == {code}
        assert "data" not in response.json()


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{", {}, 400, "BAD_REQUEST"),
        (b"", {}, 400, "BAD_REQUEST"),
        (b"[]", {}, 400, "BAD_REQUEST"),
        (b"17", {}, 400, "BAD_REQUEST"),
        (b"{}", {}, 400, "BAD_REQUEST"),
        (b'{"query":7}', {}, 400, "BAD_REQUEST"),
        (b'{"query":"{ __typename }","variables":[]}', {}, 400, "BAD_REQUEST"),
        (b'{"query":"\xff"}', {}, 400, "BAD_REQUEST"),
        (b'{"query":' + b"[" * 50_000, {}, 400, "BAD_REQUEST"),
        (b'{"query":"' + b" " * 110_000 + b'"}', {}, 413, "BAD_REQUEST"),
        (b"{}", {"content-type": "application/xml"}, 415, "BAD_REQUEST"),
        (b"{}", {"content-type": "application/json; charset=latin-1"}, 415, "BAD_REQUEST"),
        (gzip.compress(b'{"query":"{ __typename }"}', mtime=0), {"content-encoding": "gzip"}, 415, "BAD_REQUEST"),
        (b"query=%7B__typename%7D", {"content-type": "application/x-www-form-urlencoded"}, 415, "CSRF_PREVENTION_FAILED"),
        (b'{"query":"{ __typename }"}', {"content-type": "text/plain"}, 415, "CSRF_PREVENTION_FAILED"),
        (b"{}", {"accept": "text/csv"}, 406, "BAD_REQUEST"),
    ],
)
def test_an_invalid_request_is_refused(
    dev_gateway: RunningGateway, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    """Its status says what is wrong, in a GraphQL answer all the same."""
    headers = {"content-type": "application/json", **headers}
    response = dev_gateway.http.post(f"{dev_gateway.url}/web/graphql", content=content, headers=headers)
    assert response.status_code == status
    assert response.json()["errors"][0]["extensions"]["code"] == code
    assert response.headers["x-request-id"]


def test_methods(dev_gateway: RunningGateway) -> None:
    """GET and POST; a GET is only ever a query."""
    url = f"{dev_gateway.url}/web/graphql"
    for method in ("PUT", "DELETE", "PATCH"):
        response = dev_gateway.http.request(method, url)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")
    mutation = {"query": 'mutation { cancelOrder(id: "1") { order { id } } }'}
    response = dev_gateway.http.get(url, params=mutation, headers=dev_gateway.bearer())
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert dev_gateway.ask("web", '{ order(id: "1") { status } }', sub="1")["data"]["order"]["status"] == "PAID"


@pytest.mark.parametrize("query", ["variables=nonsense", "variables=[]", "query=a&query=b", "query=%ff", ""])
def test_parameters_that_can_t_be_read(dev_gateway: RunningGateway, query: str) -> None:
    """A GET without a usable query is 400."""
    response = dev_gateway.http.get(f"{dev_gateway.url}/web/graphql?{query}", headers={"accept": JSON})
    assert response.status_code == 400


def test_variables_by_get(dev_gateway: RunningGateway) -> None:
    """Variables and the operation's name are parameters."""
    params = {
        "query": "query A($id: ID!) { product(id: $id) { id } } query B { __typename }",
        "variables": '{"id":"3"}',
        "operationName": "A",
    }
    response = dev_gateway.http.get(f"{dev_gateway.url}/web/graphql", params=params)
    assert response.json() == {"data": {"product": {"id": "3"}}}


def test_graphiql_is_for_browsers(dev_gateway: RunningGateway, gateway: RunningGateway) -> None:
    """A browser's GET gets the page. In production only admin has one. Other clients never get it."""
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for variant in ("web", "mobile", "admin"):
        response = dev_gateway.http.get(f"{dev_gateway.url}/{variant}/graphql", headers=browser)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in response.headers["content-security-policy"]
        page = gateway.http.get(f"{gateway.url}/{variant}/graphql", headers=browser)
        assert (page.status_code == 200) == (variant == "admin")
    assert dev_gateway.http.get(f"{dev_gateway.url}/web/graphql").status_code == 400


def test_cors_allows_only_configured_origins(start_gateway: StartGateway) -> None:
    """Without origins it is off."""
    preflight = {"origin": "https://shop.example.com", "access-control-request-method": "POST"}
    closed = start_gateway()
    assert "access-control-allow-origin" not in closed.http.options(f"{closed.url}/web/graphql", headers=preflight).headers
    opened = start_gateway(BFF_CORS__ORIGINS="https://shop.example.com")
    response = opened.http.options(f"{opened.url}/web/graphql", headers=preflight)
    assert response.headers["access-control-allow-origin"] == "https://shop.example.com"
    foreign = opened.http.options(f"{opened.url}/web/graphql", headers={**preflight, "origin": "https://evil.example.com"})
    assert "access-control-allow-origin" not in foreign.headers


def test_a_client_that_disconnects_or_is_slow(start_gateway: StartGateway, services: Tapped) -> None:
    """Half a body is waited for at most for the operation's deadline. A disconnected client affects no other."""
    gateway = start_gateway(BFF_REQUEST__DEADLINE_S="1.5")
    address = urlsplit(gateway.url)
    head = b"POST /web/graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    with socket.create_connection((address.hostname or "", address.port or 0)) as gone:
        gone.sendall(head)
    with socket.create_connection((address.hostname or "", address.port or 0)) as slow:
        slow.sendall(head)
        slow.settimeout(30)
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
    assert gateway.ask("web", "{ __typename }") == {"data": {"__typename": "Query"}}
    assert services.calls == []
