"""Routes over real sockets: what a service and a client get of each other."""

import asyncio
import gzip
import json
import threading
from queue import Queue
from typing import Any

import httpx
import pytest

from bff.gate.consumers import digest_of
from tests.bff.routes.conftest import StartRouted
from tests.support.routes import ROUTE, Routed
from tests.support.sockets import connected, until_closed
from tests.support.upstreams import Exchange

SCOPED = """
[[routes]]
path = "/api"
name = "raw"
url = "{url}"
methods = ["GET", "POST", "DELETE"]
rewrite = "/"
forward_identity = true
"""


def answering(*parts: bytes) -> Any:
    """Reads the request and answers with these bytes."""

    async def answer(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(*parts)

    return answer


def plain(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    """A response with a length."""
    lines = "".join(f"{each}\r\n" for each in headers)
    return f"HTTP/1.1 {status}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def the_problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and code of a problem document, after a check that it is one."""
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content["status"] == answer.status_code
    assert set(content) >= {"type", "title", "status", "detail", "code"}
    assert "errors" not in content
    assert "127.0.0.1" not in answer.text
    return answer.status_code, content["code"]


def test_a_request_passes_as_it_came(start: StartRouted) -> None:
    """Method, raw path, query, headers and body are the client's; the identity and the hops are the gateway's."""
    routed = start()
    answer = routed.gateway.http.post(
        f"{routed.url}/api/caf%C3%A9/x%20y?a=%2F&b", content=b"hello", headers={"x-mine": "1", "x-request-id": "my-id"}
    )
    assert (answer.status_code, answer.content, answer.headers["x-request-id"]) == (200, b"hello", "my-id")
    (request,) = routed.service.requests
    assert request.line == "POST /api/caf%C3%A9/x%20y?a=%2F&b HTTP/1.1"
    assert (request.header("x-mine"), request.header("x-request-id")) == ("1", "my-id")
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert request.header("x-forwarded-host") == routed.url.removeprefix("http://")
    assert request.header("host") == routed.service.url.removeprefix("http://")
    assert request.header("traceparent") is not None


def test_a_chunked_body_stays_chunked(start: StartRouted) -> None:
    """Its length is not known before its end, so it can't be declared."""
    routed = start()
    answer = routed.gateway.http.post(f"{routed.url}/api", content=iter([b"he", b"llo"]))
    assert answer.content == b"hello"
    (request,) = routed.service.requests
    assert (request.header("transfer-encoding"), request.header("content-length")) == ("chunked", None)


def test_a_chunked_answer_passes_and_its_trailers_are_dropped(start: StartRouted) -> None:
    """So do its headers, also repeated ones, and its coding."""
    body = gzip.compress(b"hello" * 100)
    head = b"HTTP/1.1 203 Fine\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\nvary: a\r\nvary: b\r\n\r\n"
    routed = start(answer=answering(head, b"%x\r\n%b\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(body), body)))
    answer = routed.gateway.http.get(f"{routed.url}/api")
    assert (answer.status_code, answer.text) == (203, "hello" * 100)
    assert answer.headers.get_list("vary") == ["a", "b"]
    assert "x-trailer" not in answer.headers


def test_interim_answers_are_dropped(start: StartRouted) -> None:
    """The client has not asked for them."""
    routed = start(answer=answering(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", plain(b"ok")))
    answer = routed.gateway.http.get(f"{routed.url}/api")
    assert (answer.text, "link" in answer.headers) == ("ok", False)


def test_head_and_empty_answers_keep_the_connection(start: StartRouted) -> None:
    """HEAD, 204 and 304 have no body, whatever length they declare."""

    async def answer(exchange: Exchange) -> None:
        path = exchange.line.split()[1]
        if exchange.line.startswith("HEAD"):
            await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
        elif path == "/api/204":
            await exchange.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            await exchange.send(b'HTTP/1.1 304 Not Modified\r\netag: "1"\r\ncontent-length: 9\r\n\r\n')

    routed = start(answer=answer)
    head = routed.gateway.http.head(f"{routed.url}/api")
    assert (head.status_code, head.headers["content-length"]) == (200, "500")
    assert routed.gateway.http.get(f"{routed.url}/api/204").status_code == 204
    assert routed.gateway.http.get(f"{routed.url}/api/304").headers["etag"] == '"1"'
    assert routed.service.connections == 1


def test_an_answer_that_ends_with_its_connection_passes(start: StartRouted) -> None:
    """As of an HTTP/1.0 server."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        exchange.writer.close()

    routed = start(answer=answer)
    assert routed.gateway.http.get(f"{routed.url}/api").text == "all of it"


def test_other_methods_are_refused_with_those_that_are_allowed(start: StartRouted) -> None:
    """RFC 9110, section 15.5.6."""
    routed = start()
    answer = routed.gateway.http.delete(f"{routed.url}/api/x")
    assert the_problem(answer) == (405, "BAD_REQUEST")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    options = routed.gateway.http.options(f"{routed.url}/api/x")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert not routed.service.requests


def test_an_ambiguous_path_is_refused(start: StartRouted) -> None:
    """It reaches no service."""
    routed = start()
    with connected(routed.url) as connection:
        connection.sendall(b"GET /api/%2e%2e/secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 400")
    assert not routed.service.requests


def test_the_longest_prefix_counts_also_if_it_is_encoded(start: StartRouted) -> None:
    """A stricter route can't be avoided by another spelling."""
    text = ROUTE + '[[routes]]\npath = "/api/admin"\nsource = "raw"\nrole = "admin"\n'
    routed = start(text)
    get = routed.gateway.http.get
    assert get(f"{routed.url}/api/administrator").status_code == 200
    assert the_problem(get(f"{routed.url}/api/admin/x")) == (401, "UNAUTHENTICATED")
    assert the_problem(get(f"{routed.url}/api/%61dmin/x")) == (401, "UNAUTHENTICATED")
    user = routed.gateway.bearer("1")
    assert the_problem(get(f"{routed.url}/api/admin", headers=user)) == (403, "FORBIDDEN")
    assert get(f"{routed.url}/api/admin", headers=routed.gateway.bearer("1", "admin")).status_code == 200
    assert the_problem(get(f"{routed.url}/api", headers={"authorization": "Bearer x"})) == (401, "UNAUTHENTICATED")


def test_one_path_may_have_routes_of_several_methods(start: StartRouted) -> None:
    """Anyone reads, who is signed in writes."""
    writing = '[[routes]]\npath = "/api"\nsource = "raw"\nmethods = ["post"]\naccess = "signed_in"\n'
    text = ROUTE.replace('"GET", "POST"', '"GET"') + writing
    routed = start(text)
    assert routed.gateway.http.get(f"{routed.url}/api").status_code == 200
    assert the_problem(routed.gateway.http.post(f"{routed.url}/api")) == (401, "UNAUTHENTICATED")
    assert routed.gateway.http.post(f"{routed.url}/api", headers=routed.gateway.bearer()).status_code == 200


def test_the_identity_is_the_gateways(start: StartRouted) -> None:
    """A client can't name another user; the token passes only where the route says so."""
    routed = start(SCOPED)
    token = routed.gateway.bearer("42")
    spoofed = {"x-user-id": "1", "x_user_id": "1", "x-forwarded-for": "6.6.6.6", "connection": "x-user-id, keep-alive"}
    routed.gateway.http.get(f"{routed.url}/api/x", headers={**token, **spoofed, "cookie": "a=b"})
    routed.gateway.http.get(f"{routed.url}/api/x", headers=spoofed)
    signed_in, anonymous = routed.service.requests
    assert (anonymous.header("x-user-id"), anonymous.header("x_user_id")) == (None, None)
    assert anonymous.header("x-forwarded-for") == "127.0.0.1"
    assert signed_in.header("x-user-id") == "42"
    assert signed_in.header("authorization") == token["authorization"]
    assert signed_in.header("cookie") is None


def test_without_forward_identity_the_token_stays_here(start: StartRouted) -> None:
    """The default of a service that is no source."""
    routed = start()
    routed.gateway.http.get(f"{routed.url}/api", headers=routed.gateway.bearer("42"))
    (request,) = routed.service.requests
    assert (request.header("authorization"), request.header("x-user-id")) == (None, None)


def test_static_headers_of_the_service_replace_the_clients(start: StartRouted) -> None:
    """The service's own credential can't be overwritten."""
    routed = start(
        ROUTE + 'policy = { headers = { x-key = "ours", authorization = "Basic b3Vycw==" } }\nforward_identity = true\n'
    )
    routed.gateway.http.get(f"{routed.url}/api", headers={"x-key": "theirs", **routed.gateway.bearer()})
    (request,) = routed.service.requests
    assert (request.header("x-key"), request.header("authorization")) == ("ours", "Basic b3Vycw==")


def test_redirects_lead_back_to_the_gateway(start: StartRouted) -> None:
    """The service's host is not shown."""

    async def answer(exchange: Exchange) -> None:
        host = exchange.header("host")
        await exchange.send(plain(b"", "302 Found", f"location: http://{host}/other?x=1", "set-cookie: a=b"))

    routed = start(SCOPED, answer)
    answer_ = routed.gateway.http.get(f"{routed.url}/api/x")
    assert (answer_.status_code, answer_.headers["location"]) == (302, "/api/other?x=1")
    assert "set-cookie" not in answer_.headers


def test_cookies_pass_where_the_route_says_so(start: StartRouted) -> None:
    """As a login with a session needs."""
    routed = start(ROUTE + "cookies = true\n", answering(plain(b"", "200 OK", "set-cookie: a=b", "set-cookie: c=d")))
    answer = routed.gateway.http.get(f"{routed.url}/api", headers={"cookie": "s=1"})
    assert answer.headers.get_list("set-cookie") == ["a=b", "c=d"]
    assert routed.service.requests[0].header("cookie") == "s=1"


def test_a_body_that_is_too_large_is_refused_before_the_service_is_called(start: StartRouted) -> None:
    """If its length is declared."""
    routed = start(ROUTE + "max_request_bytes = 10\n")
    assert the_problem(routed.gateway.http.post(f"{routed.url}/api", content=b"x" * 11)) == (413, "BAD_REQUEST")
    assert not routed.service.requests
    assert routed.gateway.http.post(f"{routed.url}/api", content=b"x" * 10).status_code == 200


def test_a_chunked_body_that_is_too_large_is_cut_off(start: StartRouted) -> None:
    """The service never sees its end, so it can't take the part for the whole."""
    routed = start(ROUTE + "max_request_bytes = 10\n")
    assert the_problem(routed.gateway.http.post(f"{routed.url}/api", content=iter([b"x" * 8] * 3))) == (413, "BAD_REQUEST")


def test_an_answer_that_is_too_large_is_not_begun_or_cut_off(start: StartRouted) -> None:
    """By the length that it declares, or by what arrives."""
    declared = start(ROUTE + "max_response_bytes = 10\n", answering(plain(b"x" * 11)))
    assert the_problem(declared.gateway.http.get(f"{declared.url}/api")) == (502, "UPSTREAM_ERROR")


def test_an_undeclared_answer_that_is_too_large_is_cut_off(start: StartRouted) -> None:
    """The client sees that it is incomplete."""
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nxxxxxxxx\r\n8\r\nxxxxxxxx\r\n0\r\n\r\n"
    routed = start(ROUTE + "max_response_bytes = 10\n", answering(chunked))
    with pytest.raises(httpx.RemoteProtocolError):
        routed.gateway.http.get(f"{routed.url}/api")


def test_a_dead_service_is_a_problem(start: StartRouted) -> None:
    """Not a GraphQL response, and without an address."""
    routed = start('[[routes]]\npath = "/api"\nsource = "users"\n')
    assert the_problem(routed.gateway.http.get(f"{routed.url}/api")) == (503, "UPSTREAM_UNAVAILABLE")


def test_a_service_that_does_not_answer_in_time_is_a_problem(start: StartRouted) -> None:
    """After `timeout_s`."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reader.read()

    routed = start(ROUTE + "timeout_s = 0.05\n", answer)
    assert the_problem(routed.gateway.http.get(f"{routed.url}/api")) == (504, "UPSTREAM_TIMEOUT")


def test_a_client_that_asks_for_less_time_gets_less(start: StartRouted) -> None:
    """It gets no more than the route's. What is no number of milliseconds is refused."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reader.read()

    routed = start(ROUTE, answer)
    get = routed.gateway.http.get
    url = f"{routed.url}/api"
    assert the_problem(get(url, headers={"x-request-timeout-ms": "60"})) == (504, "UPSTREAM_TIMEOUT")
    assert the_problem(get(url, headers={"x-request-timeout-ms": "soon"})) == (400, "BAD_REQUEST")
    breaker = get(f"{routed.url}/ready").json()["sources"]["raw"]
    assert breaker == {"breaker": "closed"}


def test_a_failed_read_is_repeated_and_a_write_is_not(start: StartRouted) -> None:
    """Only safe methods without a body, before anything was answered."""
    answers = {"GET": [plain(b"no", "503 Sorry"), plain(b"yes")], "POST": [plain(b"no", "503 Sorry"), plain(b"yes")]}

    async def answer(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(answers[exchange.line.split()[0]].pop(0))

    routed = start(answer=answer)
    assert routed.gateway.http.get(f"{routed.url}/api").text == "yes"
    written = routed.gateway.http.post(f"{routed.url}/api", content=b"x")
    assert (written.status_code, written.text) == (503, "no")


def test_a_get_with_a_body_is_not_repeated(start: StartRouted) -> None:
    """The body is gone."""
    answers = [plain(b"no", "503 Sorry"), plain(b"yes")]

    async def answer(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(answers.pop(0))

    routed = start(answer=answer)
    assert routed.gateway.http.request("GET", f"{routed.url}/api", content=b"x").text == "no"


def test_the_services_own_errors_pass(start: StartRouted) -> None:
    """Status, headers and body, also those that count against the service."""
    routed = start(answer=answering(plain(b'{"why":"me"}', "500 Oops", "content-type: application/json", "x-mine: 1")))
    answer = routed.gateway.http.get(f"{routed.url}/api")
    assert (answer.status_code, answer.text, answer.headers["x-mine"]) == (500, '{"why":"me"}', "1")


def test_the_breaker_opens_for_a_service_that_fails(start: StartRouted) -> None:
    """Then it isn't called any more."""
    routed = start(ROUTE + "policy = { breaker = { minimum_calls = 2 } }\n", answering(plain(b"", "500 Oops")))
    for _ in range(2):
        assert routed.gateway.http.get(f"{routed.url}/api").status_code == 500
    answer = routed.gateway.http.get(f"{routed.url}/api")
    assert the_problem(answer) == (503, "UPSTREAM_UNAVAILABLE")
    assert answer.headers["retry-after"] == "30"
    assert len(routed.service.requests) == 2


def test_a_stream_holds_its_place_until_it_ends(start: StartRouted) -> None:
    """The bulkhead counts what runs, not what was begun."""
    more = threading.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na")
        await asyncio.to_thread(more.wait, 30)
        await exchange.send(b"b")

    routed = start(ROUTE + "policy = { bulkhead = { max_concurrent = 1, max_waiting = 0 } }\n", answer)
    with routed.gateway.http.stream("GET", f"{routed.url}/api") as first:
        assert first.status_code == 200
        assert the_problem(routed.gateway.http.get(f"{routed.url}/api")) == (503, "UPSTREAM_UNAVAILABLE")
        more.set()
        assert first.read() == b"ab"
    assert routed.gateway.http.get(f"{routed.url}/api").status_code == 200


def test_an_answer_that_breaks_off_is_seen_as_such(start: StartRouted, caplog: pytest.LogCaptureFixture) -> None:
    """By the client, in the log and in the metrics."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        exchange.writer.close()

    routed = start(answer=answer)
    with pytest.raises(httpx.RemoteProtocolError):
        routed.gateway.http.get(f"{routed.url}/api")
    metrics = routed.gateway.http.get(f"{routed.url}/metrics").text
    assert 'bff_route_requests_total{outcome="truncated",route="/api"} 1.0' in metrics


def test_a_service_that_stalls_in_its_answer_is_cut_off(start: StartRouted) -> None:
    """After `idle_timeout_s`."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        await exchange.reader.read()

    routed = start(ROUTE + "idle_timeout_s = 0.05\n", answer)
    with pytest.raises(httpx.RemoteProtocolError):
        routed.gateway.http.get(f"{routed.url}/api")


def test_a_client_that_stalls_in_its_body_is_refused(start: StartRouted) -> None:
    """After `idle_timeout_s`, with 408: the service is not to blame."""
    routed = start(ROUTE + "idle_timeout_s = 0.05\n")
    with connected(routed.url) as connection:
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        assert until_closed(connection).startswith(b"HTTP/1.1 408")


def test_an_early_answer_passes_while_the_body_is_still_sent(start: StartRouted) -> None:
    """A service may refuse an upload without reading it."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(plain(b"no", "403 No", "connection: close"))
        await exchange.reader.read()

    routed = start(answer=answer)
    with connected(routed.url) as connection:
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc")
        received = b""
        while not received.endswith(b"no"):
            received += connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 403")


def test_expect_continue_is_answered_once_the_service_is_called(start: StartRouted) -> None:
    """And never where the request is refused."""
    routed = start(ROUTE + "max_request_bytes = 10\n")
    with connected(routed.url) as connection:
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ok")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    with connected(routed.url) as connection:
        connection.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\nexpect: 100-continue\r\n\r\n")
        received = until_closed(connection)
    assert received.startswith(b"HTTP/1.1 413")
    assert b"\r\nconnection: close\r\n" in received


def test_websocket_is_refused_clearly(start: StartRouted) -> None:
    """Rather than answered as a plain GET."""
    routed = start()
    offer = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    assert the_problem(routed.gateway.http.get(f"{routed.url}/api", headers=offer)) == (501, "BAD_REQUEST")


def test_rates_hold_for_routes(start: StartRouted) -> None:
    """With the same headers as for variants."""
    routed = start(ROUTE + "rate = { per_minute = 1, burst = 1 }\n", BFF_RATE__ENABLED="true")
    first = routed.gateway.http.get(f"{routed.url}/api")
    assert (first.status_code, "ratelimit" in first.headers) == (200, True)
    answer = routed.gateway.http.get(f"{routed.url}/api")
    assert the_problem(answer) == (429, "RATE_LIMITED")
    assert answer.json()["retryAfter"] == int(answer.headers["retry-after"])


def test_all_clients_of_a_route_have_a_limit(start: StartRouted) -> None:
    """As those of a variant; and all users of an address."""
    routed = start(
        ROUTE + "rate_of_all = { any_minute = 2 }\nrate_of_address = { any_minute = 1 }\n",
        BFF_RATE__ENABLED="true",
        BFF_PROXIES__TRUSTED="127.0.0.1",
    )
    statuses = [
        routed.gateway.http.get(f"{routed.url}/api", headers={"x-forwarded-for": f"192.0.2.{number}"}).status_code
        for number in (1, 1, 2, 3)
    ]
    assert statuses == [200, 429, 200, 429]


def test_the_gateways_own_paths_stay_its_own(start: StartRouted) -> None:
    """Also under a route for everything."""
    routed = start(ROUTE.replace('"/api"', '"/"'))
    get = routed.gateway.http.get
    assert get(f"{routed.url}/health").json() == {"status": "ok"}
    assert get(f"{routed.url}/ready").json()["sources"]["raw"] == {"breaker": "closed"}
    assert get(f"{routed.url}/health/x").status_code == 404
    assert get(f"{routed.url}/anything").status_code == 200
    assert [each.line for each in routed.service.requests] == ["GET /anything HTTP/1.1"]


def test_the_access_log_has_the_route(start: StartRouted, lines: "Queue[dict[str, Any]]") -> None:
    """With the bytes of both bodies, and no query."""
    routed = start()
    routed.gateway.http.post(f"{routed.url}/api/x?secret=1", content=b"hello")
    line = lines.get(timeout=30)  # it is written once the exchange has ended
    assert (line["route"], line["path"], line["status"]) == ("/api", "/api/x", 200)
    assert (line["bytes_in"], line["bytes_out"], line["upstream_calls"]) == (5, 5, {"raw": 1})
    assert "secret" not in json.dumps(line)


def test_the_access_log_has_the_further_fields_too(start: StartRouted, lines: "Queue[dict[str, Any]]") -> None:
    """As for variants: see `log.fields`."""
    routed = start(BFF_LOG__FIELDS="ip,response_length,trace_id,user_id")
    headers = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", **routed.gateway.bearer("7")}
    routed.gateway.http.post(f"{routed.url}/api/x", content=b"hello", headers=headers)
    line = lines.get(timeout=30)
    assert (line["ip"], line["response_length"], line["trace_id"]) == ("127.0.0.1", 5, "a" * 32)
    assert len(line["user_id"]) == 16


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> "Queue[dict[str, Any]]":
    """The fields of the lines in the access log."""
    found: Queue[dict[str, Any]] = Queue()
    monkeypatch.setattr("bff.request.access_log._log", _Lines(found))
    return found


class _Lines:
    is_info_enabled = True

    def __init__(self, lines: "Queue[dict[str, Any]]") -> None:
        self._lines = lines

    def info(self, _: str, /, **fields: Any) -> None:
        self._lines.put(fields)


def test_pages_of_other_origins_may_call_if_cors_allows_it(start: StartRouted) -> None:
    """With the methods of the routes. The service is not asked for the preflight."""
    routed = start(BFF_CORS__ORIGINS="https://shop.example")
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    preflight = routed.gateway.http.options(f"{routed.url}/api/x", headers=asked)
    assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert not routed.service.requests
    answer = routed.gateway.http.get(f"{routed.url}/api", headers={"origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


def test_a_route_for_everything_opens_nothing_else_to_other_origins(start: StartRouted) -> None:
    """A variant and the gateway's own paths keep their rules."""
    text = "[variants.web.cors]\norigins = []\n" + ROUTE.replace('"/api"', '"/"')
    routed = start(text, BFF_CORS__ORIGINS="https://shop.example")
    for path, is_allowed in (("/x", True), ("/metrics", False), ("/web/graphql", False), ("/mobile/graphql", True)):
        answer = routed.gateway.http.get(f"{routed.url}{path}", headers={"origin": "https://shop.example"})
        assert ("access-control-allow-origin" in answer.headers) is is_allowed, path


def test_a_consumer_may_use_only_its_routes(start: StartRouted) -> None:
    """Where a route names its consumers."""
    text = (
        f"""
[consumers.one]
key_sha256 = ["{digest_of("one")}"]
variants = ["web"]
[consumers.two]
key_sha256 = ["{digest_of("two")}"]
variants = ["web"]
"""
        + ROUTE
        + 'access = "key"\nconsumers = ["one"]\n'
    )
    routed: Routed = start(text)
    get = routed.gateway.http.get
    assert get(f"{routed.url}/api", headers={"x-api-key": "one"}).status_code == 200
    assert the_problem(get(f"{routed.url}/api", headers={"x-api-key": "two"})) == (403, "FORBIDDEN")
    assert the_problem(get(f"{routed.url}/api", headers={"x-api-key": "three"})) == (401, "UNAUTHENTICATED")
    assert the_problem(get(f"{routed.url}/api")) == (401, "UNAUTHENTICATED")
    assert all(each.header("x-api-key") is None for each in routed.service.requests)
