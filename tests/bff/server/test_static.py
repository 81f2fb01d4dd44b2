"""Static files: their media types and caching, and that no other files are served."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from bff.graphiql.page import ASSETS
from bff.server.static import Assets

_FOR_GOOD = "public, max-age=31536000, immutable"


@pytest.fixture
def client() -> httpx.AsyncClient:
    """A client of the files, mounted as the gateway mounts them."""
    app = Starlette(routes=[Mount(ASSETS.prefix, Assets(ASSETS))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("page.js", "text/javascript; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("react.LICENSE", "text/plain; charset=utf-8"),
    ],
)
async def test_media_type(client: httpx.AsyncClient, name: str, media_type: str) -> None:
    """A file has the media type of its suffix, and `nosniff`."""
    async with client:
        answer = await client.get(ASSETS.url(name))
    assert answer.status_code == 200
    assert answer.content == (ASSETS.path / name).read_bytes()
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_current_version_may_be_cached(client: httpx.AsyncClient) -> None:
    """The URL with the current version may be cached for a year."""
    async with client:
        answer = await client.get(ASSETS.url("page.js"))
    assert answer.headers["cache-control"] == _FOR_GOOD


@pytest.mark.parametrize("query", ["", "?v=0123456789abcdef", "?v="])
async def test_any_other_version_is_revalidated(client: httpx.AsyncClient, query: str) -> None:
    """The URL with another version, or with none: the file may be of another release."""
    async with client:
        answer = await client.get(f"{ASSETS.prefix}/page.js{query}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


async def test_revalidation(client: httpx.AsyncClient) -> None:
    """A client that has the file gets a 304 with the same caching headers."""
    async with client:
        first = await client.get(ASSETS.url("page.js"))
        second = await client.get(ASSETS.url("page.js"), headers={"if-none-match": first.headers["etag"]})
    assert second.status_code == 304
    assert second.content == b""
    assert second.headers["cache-control"] == _FOR_GOOD


@pytest.mark.parametrize(
    "path", ["/../page.py", "/%2e%2e/page.py", "/..%2fpage.py", "/%2e%2e%5cpage.py", "//etc/passwd", "/none.js", "/", "/%00"]
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    """No path leads out of the folder or lists it."""
    request = client.build_request("GET", ASSETS.prefix)
    request.url = request.url.copy_with(raw_path=f"{ASSETS.prefix}{path}".encode())
    async with client:
        answer = await client.send(request)
    assert answer.status_code == 404


async def test_only_reading_is_allowed(client: httpx.AsyncClient) -> None:
    """The files can be read and not written."""
    async with client:
        answer = await client.post(ASSETS.url("page.js"))
    assert answer.status_code == 405
