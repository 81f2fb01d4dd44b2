"""What the three services have in common: reads, pages, caching, errors."""

import base64
import json
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

Services = dict[str, httpx.AsyncClient]

NAMES = pytest.mark.parametrize("name", ["users", "orders", "products"])
COUNTS = {"users": 1000, "orders": 10_000, "products": 500}
CACHE_CONTROL = {
    "users": "private, no-cache",
    "orders": "private, no-cache",
    "products": "public, max-age=30, stale-if-error=300",
}
TITLES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
}
# Python 3.13 took over the names of RFC 9110; before, these two had older ones.
OLDER_TITLES = {413: "Request Entity Too Large", 422: "Unprocessable Entity"}


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem in a response. Checks the members that every problem has."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = response.json()
    assert body["type"] == "about:blank"
    assert body["title"] in {TITLES[status], OLDER_TITLES.get(status)}
    assert body["status"] == status
    assert isinstance(body["detail"], str)
    assert body["detail"]
    return body


def ids_of(response: httpx.Response) -> list[int]:
    """The ids of a response's items."""
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


@NAMES
async def test_health_is_ok(services: Services, name: str) -> None:
    """`/health` of each service."""
    response = await services[name].get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@NAMES
async def test_one_object_is_read_by_id(services: Services, name: str) -> None:
    """As JSON, with an entity tag and the service's `Cache-Control`."""
    response = await services[name].get(f"/{name}/3")
    assert response.status_code == 200
    assert response.json()["id"] == 3
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == CACHE_CONTROL[name]
    assert response.headers["ETag"].startswith('"')


@NAMES
async def test_head_is_like_get_without_a_body(services: Services, name: str) -> None:
    """With the same headers."""
    get, head = await services[name].get(f"/{name}/3"), await services[name].head(f"/{name}/3")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == get.headers["ETag"]
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@NAMES
@pytest.mark.parametrize("missing", [0, -1, 99_999, 10**17])
async def test_a_missing_object_is_404(services: Services, name: str, missing: int) -> None:
    """The message has the id."""
    assert str(missing) in problem_of(await services[name].get(f"/{name}/{missing}"), 404)["detail"]


@NAMES
@pytest.mark.parametrize("bad", ["abc", "1.0", "01", "1e2", "+1", "%201", "1_0", "\u0661", "9" * 19])
async def test_an_id_that_is_not_an_integer_is_400(services: Services, name: str, bad: str) -> None:
    """Ids in paths are integers in JSON's notation."""
    problem_of(await services[name].get(f"/{name}/{bad}"), 400)


@NAMES
async def test_several_are_read_by_ids(services: Services, name: str) -> None:
    """Each existing object once. Others are left out."""
    response = await services[name].get(f"/{name}", params={"ids": "3,1,99999,2,3,0,-5,1"})
    assert sorted(ids_of(response)) == [1, 2, 3]
    assert set(response.json()) == {"items"}
    assert response.headers["Cache-Control"] == CACHE_CONTROL[name]
    assert "ETag" in response.headers


@NAMES
async def test_no_ids_are_no_items(services: Services, name: str) -> None:
    """If `ids` is empty, or none of them exists."""
    assert ids_of(await services[name].get(f"/{name}?ids=")) == []
    assert ids_of(await services[name].get(f"/{name}?ids=88888,99999")) == []


@NAMES
async def test_at_most_200_ids(services: Services, name: str) -> None:
    """201 are refused."""
    assert ids_of(await services[name].get(f"/{name}", params={"ids": ",".join(map(str, range(1, 201)))})) == list(
        range(1, 201)
    )
    problem_of(await services[name].get(f"/{name}", params={"ids": ",".join(map(str, range(1, 202)))}), 400)


@NAMES
@pytest.mark.parametrize("bad", ["a", "1,", ",1", "1,,2", "1, 2", "1;2", "1.5", "01", "9" * 19])
async def test_ids_that_are_not_integers_are_400(services: Services, name: str, bad: str) -> None:
    """`ids` must be integers separated by commas."""
    problem_of(await services[name].get(f"/{name}", params={"ids": bad}), 400)


@NAMES
async def test_pages_cover_all_objects(services: Services, name: str) -> None:
    """With `nextCursor` every object appears once, in order, and `total` is the same on each page."""
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": "199"} | ({"cursor": cursor} if cursor else {})
        response = await services[name].get(f"/{name}", params=params)
        seen += ids_of(response)
        assert response.json()["total"] == COUNTS[name]
        cursor = response.json()["nextCursor"]
        if cursor is None:
            break
        assert len(response.json()["items"]) == 199
    everything = list(range(1, COUNTS[name] + 1))
    assert seen == (everything[::-1] if name == "orders" else everything)


@NAMES
async def test_the_last_page_has_no_next_cursor(services: Services, name: str) -> None:
    """Even if it is full: 1000, 10000 and 500 are multiples of 100."""
    cursor, pages = None, 0
    while pages == 0 or cursor:
        params = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        cursor = (await services[name].get(f"/{name}", params=params)).json()["nextCursor"]
        pages += 1
    assert pages == COUNTS[name] // 100


@NAMES
async def test_a_page_has_20_items_by_default(services: Services, name: str) -> None:
    """A cursor can be used with any limit."""
    first = await services[name].get(f"/{name}")
    assert len(ids_of(first)) == 20
    cursor = first.json()["nextCursor"]
    three = await services[name].get(f"/{name}", params={"cursor": cursor, "limit": "3"})
    five = await services[name].get(f"/{name}", params={"cursor": cursor, "limit": "5"})
    assert ids_of(five)[:3] == ids_of(three)
    assert abs(ids_of(three)[0] - ids_of(first)[-1]) == 1


@NAMES
@pytest.mark.parametrize("limit", ["1", "200"])
async def test_limits_in_range(services: Services, name: str, limit: str) -> None:
    """1 and 200 are valid."""
    assert len(ids_of(await services[name].get(f"/{name}", params={"limit": limit}))) == int(limit)


@NAMES
@pytest.mark.parametrize("limit", ["0", "201", "-1", "", "ten", "1.5", "9" * 50, "\u0661"])
async def test_limits_out_of_range_are_400(services: Services, name: str, limit: str) -> None:
    """A limit must be an integer from 1 to 200."""
    assert "limit" in problem_of(await services[name].get(f"/{name}", params={"limit": limit}), 400)["detail"]


@NAMES
@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "20", base64.urlsafe_b64encode(b"nothing:3").decode(), "\u00e9"])
async def test_invalid_cursors_are_400(services: Services, name: str, cursor: str) -> None:
    """A cursor must come from a page of the same resource."""
    assert "cursor" in problem_of(await services[name].get(f"/{name}", params={"cursor": cursor}), 400)["detail"]


async def test_a_cursor_belongs_to_its_resource(services: Services) -> None:
    """A cursor of another service is refused, and so is a changed one."""
    cursor = (await services["users"].get("/users")).json()["nextCursor"]
    problem_of(await services["products"].get("/products", params={"cursor": cursor}), 400)
    problem_of(await services["users"].get("/users", params={"cursor": cursor + "="}), 400)
    problem_of(await services["users"].get("/users", params={"cursor": cursor + "!"}), 400)


@NAMES
async def test_unknown_parameters_are_ignored(services: Services, name: str) -> None:
    """They have no effect."""
    plain = await services[name].get(f"/{name}?limit=2")
    more = await services[name].get(f"/{name}?limit=2&colour=red&&x")
    assert more.content == plain.content


@NAMES
@pytest.mark.parametrize("path", ["/{}/3", "/{}?ids=1,2", "/{}?limit=2"])
async def test_if_none_match(services: Services, name: str, path: str) -> None:
    """The current entity tag, alone, weak or in a list, or `*`, gives a 304 without a body. Another tag gives a 200."""
    url = path.format(name)
    tag = (await services[name].get(url)).headers["ETag"]
    for condition in (tag, f"W/{tag}", f'"x", {tag}', f'W/"y",{tag}', "*"):
        response = await services[name].get(url, headers={"If-None-Match": condition})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["ETag"] == tag
        assert response.headers["Cache-Control"] == CACHE_CONTROL[name]
    for condition in ('"x"', tag.strip('"'), ""):
        response = await services[name].get(url, headers={"If-None-Match": condition})
        assert response.status_code == 200


@NAMES
async def test_if_none_match_does_not_hide_a_404(services: Services, name: str) -> None:
    """A missing object is never a 304."""
    problem_of(await services[name].get(f"/{name}/99999", headers={"If-None-Match": "*"}), 404)


@NAMES
@pytest.mark.parametrize("path", ["/", "/nothing", "/{}/", "/{}/1/", "/{}/1/nothing", "/health/", "//"])
async def test_unknown_paths_are_404(services: Services, name: str, path: str) -> None:
    """With a problem, never a redirect."""
    problem_of(await services[name].get(f"{services[name].base_url}".rstrip("/") + path.format(name)), 404)


@NAMES
@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/{}/1", "GET, HEAD, PATCH"),
        ("PUT", "/{}/1", "GET, HEAD, PATCH"),
        ("POST", "/{}/1", "GET, HEAD, PATCH"),
        ("OPTIONS", "/{}/1", "GET, HEAD, PATCH"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
async def test_other_methods_are_405(services: Services, name: str, method: str, path: str, allow: str) -> None:
    """`Allow` has the methods of the path."""
    response = await services[name].request(method, path.format(name))
    problem_of(response, 405)
    assert response.headers["Allow"] == allow


async def test_allow_of_collections(services: Services) -> None:
    """Only orders have a POST. Cancelling has only a POST."""
    for name, allow in (("users", "GET, HEAD"), ("products", "GET, HEAD"), ("orders", "GET, HEAD, POST")):
        response = await services[name].put(f"/{name}", json={})
        problem_of(response, 405)
        assert response.headers["Allow"] == allow
    response = await services["orders"].get("/orders/1/cancel")
    problem_of(response, 405)
    assert response.headers["Allow"] == "POST"


WRITES = pytest.mark.parametrize(
    ("name", "method", "path"),
    [
        ("users", "PATCH", "/users/1"),
        ("products", "PATCH", "/products/1"),
        ("orders", "PATCH", "/orders/1"),
        ("orders", "POST", "/orders"),
    ],
)


@WRITES
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"name":NaN}',
        b'{"name":"\xff"}',
        b'{"name":"\\ud800"}',
        b'{"price":1e99999999999999999999}',
        b"[" * 60_000,
        b"[]",
        b"3",
        b"null",
        b'"text"',
    ],
    ids=["none", "cut", "word", "nan", "utf8", "surrogate", "exponent", "deep", "list", "number", "null", "text"],
)
async def test_bodies_that_are_not_a_json_object_are_400(
    services: Services, name: str, method: str, path: str, body: bytes
) -> None:
    """Whatever the mistake is."""
    problem_of(await services[name].request(method, path, content=body, headers={"Content-Type": "application/json"}), 400)


@WRITES
@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_bodies_of_another_type_are_415(
    services: Services, name: str, method: str, path: str, media_type: str | None
) -> None:
    """`Content-Type` must be JSON."""
    headers = {"Content-Type": media_type} if media_type else {}
    problem_of(await services[name].request(method, path, content=b"{}", headers=headers), 415)


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"]
)
async def test_media_types_of_json(services: Services, media_type: str) -> None:
    """With parameters, in any case, or with the suffix `+json`."""
    response = await services["users"].patch("/users/900", content=b'{"name":"A"}', headers={"Content-Type": media_type})
    assert response.status_code == 200


@WRITES
async def test_bodies_too_large_are_413(services: Services, name: str, method: str, path: str) -> None:
    """64 KiB are accepted. More is refused, with `Content-Length` or in chunks, and the connection stays open."""
    client = services[name]
    fits = json.dumps({"x": ""}).encode()
    fits = fits[:-2] + b"x" * (64 * 1024 - len(fits)) + fits[-2:]
    headers = {"Content-Type": "application/json"}
    assert len(fits) == 65_536
    problem_of(await client.request(method, path, content=fits, headers=headers), 422)
    problem_of(await client.request(method, path, content=fits + b" ", headers=headers), 413)

    async def chunks() -> Any:
        for _ in range(200):
            yield b" " * 10_000

    problem_of(await client.request(method, path, content=chunks(), headers=headers), 413)
    assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize("name", ["users", "orders", "products"])
async def test_writes_to_missing_objects_are_404(services: Services, name: str) -> None:
    """Whether the change is valid or not. An invalid id is a 400."""
    problem_of(await services[name].patch(f"/{name}/99999", json={"name": "A", "status": "paid"}), 404)
    problem_of(await services[name].patch(f"/{name}/99999", json={}), 404)
    problem_of(await services[name].patch(f"/{name}/abc", json={"name": "A"}), 400)


@NAMES
async def test_a_patch_without_known_members_is_422(services: Services, name: str) -> None:
    """The errors name the members that can be changed."""
    may = {"users": ["name", "email"], "orders": ["status"], "products": ["price", "stock", "name"]}
    for body in ({}, {"id": 7, "tier": "pro", "sku": "X"}):
        errors = problem_of(await services[name].patch(f"/{name}/1", json=body), 422)["errors"]
        assert [error["field"] for error in errors] == may[name]
        assert all(set(error) == {"field", "message"} for error in errors)
