"""The files that the page refers to: their types, their caching, and that there are no others."""

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
    """A file goes out whole, under the type that its ending states and no browser second-guesses."""
    async with client:
        answer = await client.get(ASSETS.url(name))
    assert answer.status_code == 200
    assert answer.content == (ASSETS.path / name).read_bytes()
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_current_version_may_be_kept(client: httpx.AsyncClient) -> None:
    """Under its version's URL a file may be kept for a year."""
    async with client:
        answer = await client.get(ASSETS.url("page.js"))
    assert answer.headers["cache-control"] == _FOR_GOOD


@pytest.mark.parametrize("query", ["", "?v=0123456789abcdef", "?v="])
async def test_any_other_version_is_asked_about_again(client: httpx.AsyncClient, query: str) -> None:
    """Under another version's URL, or none, a file is revalidated: it may be of another release."""
    async with client:
        answer = await client.get(f"{ASSETS.prefix}/page.js{query}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


async def test_revalidation(client: httpx.AsyncClient) -> None:
    """Who has the file already is told so in a 304, with the same caching."""
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
    """No path, however written, leads out of the folder or lists it."""
    request = client.build_request("GET", ASSETS.prefix)
    request.url = request.url.copy_with(raw_path=f"{ASSETS.prefix}{path}".encode())
    async with client:
        answer = await client.send(request)
    assert answer.status_code == 404


async def test_reading_only(client: httpx.AsyncClient) -> None:
    """The files are read and never written."""
    async with client:
        answer = await client.post(ASSETS.url("page.js"))
    assert answer.status_code == 405
