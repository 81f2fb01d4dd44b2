"""The library over a service of other conventions: declared at its sources and in settings, and no line of `bff` is changed.

UUIDs, no request for several objects, pages by offset, `{"error": {…}}`, an API key of the gateway, Cognito's access tokens.
"""

import asyncio
import importlib.util
import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.apps.elsewhere.service import API_KEY, Library
from tests.support.gateways import free_port
from tests.support.installed import LIBRARY, Installed, started
from tests.support.issuers import jwk

ELSEWHERE = Path(__file__).parent / "elsewhere"
KEY = rsa.generate_private_key(65537, 2048)
ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Library"
PAGE = "{ books(first: 30) { totalCount nodes { title author { name } reviews { stars } } } }"
SETTINGS = """
[sources.authors.headers]
X-Service-Key = "of the gateway"

[sources.books.headers]
X-Service-Key = "of the gateway"

[sources.reviews.headers]
X-Service-Key = "of the gateway"

[auth.issuers.cognito]
issuer = "ISSUER"
jwks_url = "JWKS"
required = { token_use = "access", client_id = ["reader-app", "desk-app"] }
claims = { roles = "cognito:groups", scopes = "scope" }
"""


@dataclass(frozen=True)
class Running:
    """The gateway, its service, and a client."""

    url: str
    library: Library
    http: httpx.Client

    def ask(self, variant: str, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The body of an answer."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        body = {"query": query, "variables": variables}
        answer: dict[str, Any] = self.http.post(f"{self.url}/{variant}/graphql", json=body, headers=headers).json()
        return answer


def token(sub: str, *groups: str, **changes: Any) -> str:
    """An access token as Cognito issues it."""
    now = int(time.time())
    claims = {
        "sub": sub,
        "cognito:groups": list(groups),
        "iss": ISSUER,
        "client_id": "reader-app",
        "token_use": "access",
        "scope": "openid library/read",
        "auth_time": now,
        "iat": now,
        "exp": now + 3600,
        "username": sub,
        **changes,
    }
    return jwt.encode(claims, KEY, "RS256", headers={"kid": "k1"})


def demo_data() -> Any:
    """The data of the library's demo services."""
    spec = importlib.util.spec_from_file_location("library_data", LIBRARY / "datasources" / "demo" / "data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def library() -> Iterator[tuple[Library, str]]:
    """The service on a real port."""
    data = demo_data()
    made = Library(data.AUTHORS, data.BOOKS, [dict(each) for each in data.REVIEWS], {"keys": [jwk("RS256", KEY, "k1")]})
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(made.app, port=port, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    yield made, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def elsewhere(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The library with other sources: four files are replaced, and its demo services are gone."""
    folder = tmp_path_factory.mktemp("elsewhere") / "library"
    shutil.copytree(LIBRARY, folder, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache", "demo"))
    for name in ("api", "authors", "books", "reviews"):
        shutil.copy(ELSEWHERE / f"{name}.py", folder / "datasources" / f"{name}.py")
    return replace(installed, folder=folder)


@pytest.fixture(scope="module")
def running(
    elsewhere: Installed, library: tuple[Library, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """`bff serve` in front of the service, set by a file."""
    service, url = library
    logs = tmp_path_factory.mktemp("serve")
    (elsewhere.folder / "bff.toml").write_text(SETTINGS.replace("ISSUER", ISSUER).replace("JWKS", f"{url}/jwks"))
    port = free_port()
    urls = {f"{name}_SERVICE_URL": url for name in ("AUTHORS", "BOOKS", "REVIEWS")}
    with started(elsewhere, logs, "serve", "--host", "127.0.0.1", "--port", str(port), **urls, JWT_SECRET="") as serve:
        gateway = f"http://127.0.0.1:{port}"
        serve.wait_until_ready(gateway)
        with httpx.Client(trust_env=False, timeout=30) as http:
            yield Running(gateway, service, http)
        assert serve.stop() == 0


def test_the_page_is_loaded_in_two_waves(running: Running, elsewhere: Installed, tmp_path: Path) -> None:
    """As the shop's: the books, then all authors and reviews side by side. Each object is requested once.

    The service has 20 books in a page: 30 are two calls one after the other, which is a wave more.
    """
    running.library.asked.clear()
    answer = running.ask("reader", PAGE)
    assert "errors" not in answer
    books = answer["data"]["books"]
    assert books["totalCount"] == 40
    assert [each["title"] for each in books["nodes"]] == [f"Title {number:02}" for number in range(1, 31)]
    assert books["nodes"][0] == {"title": "Title 01", "author": {"name": "Achebe"}, "reviews": [{"stars": 5}, {"stars": 3}]}
    asked = running.library.asked
    assert asked[:2] == ["GET /v2/books?limit=20&offset=0", "GET /v2/books?limit=10&offset=20"]
    assert sorted(set(asked)) == sorted(asked)
    assert sum("authors" in each for each in asked) == 6
    assert sum("/v2/reviews?book=" in each for each in asked) == 30
    file = tmp_path / "page.graphql"
    for first, waves in ((20, 2), (30, 3)):
        file.write_text(PAGE.replace("first: 30", f"first: {first}"))
        explained = elsewhere.bff("explain", "reader", str(file), "--json")
        assert explained.returncode == 0, explained.stderr
        assert len(json.loads(explained.stdout)["waves"]) == waves


def test_lists_get_the_owner_that_the_service_leaves_out(running: Running) -> None:
    """From an author to the books and back."""
    author = demo_data().AUTHORS[1]
    query = "query Q($id: ID!) { author(id: $id) { books(first: 2) { title author { name } } } }"
    answer = running.ask("reader", query, id=author["id"])
    assert answer["data"]["author"]["books"] == [
        {"title": "Title 06", "author": {"name": "Borges"}},
        {"title": "Title 07", "author": {"name": "Borges"}},
    ]


def test_what_is_gone_is_null(running: Running) -> None:
    """The service says 410."""
    query = "query Q($id: ID!) { book(id: $id) { title } }"
    assert running.ask("reader", query, id="00000000-0000-4000-8000-000000000007") == {"data": {"book": None}}


def test_pages_follow_each_other(running: Running) -> None:
    """By offset behind the gateway's own cursors, filtered, from any edge."""
    query = (
        "query Q($after: String, $genre: Genre) { books(first: 7, after: $after, genre: $genre)"
        " { totalCount edges { cursor node { title } } pageInfo { hasNextPage endCursor } } }"
    )
    titles: list[str] = []
    after = None
    while True:
        page = running.ask("reader", query, after=after)["data"]["books"]
        titles += [edge["node"]["title"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert titles == [f"Title {number:02}" for number in range(1, 41)]
    third = running.ask("reader", query)["data"]["books"]["edges"][2]["cursor"]
    assert running.ask("reader", query, after=third)["data"]["books"]["edges"][0]["node"]["title"] == "Title 04"
    assert running.ask("reader", query, genre="ESSAY")["data"]["books"]["totalCount"] == 13


def test_cognito_s_tokens_say_who_and_what(running: Running) -> None:
    """The groups are roles; a token for another client, or an ID token, is refused."""
    query = '{ anyReview(id: "r-3") { writerId } }'
    assert running.ask("desk", query, token("mo", "librarian"))["data"] == {"anyReview": {"writerId": "ann"}}
    codes = [
        running.ask("desk", query, made)["errors"][0]["extensions"]["code"]
        for made in (
            token("mo", "reader"),
            token("mo", "librarian", client_id="another"),
            token("mo", "librarian", token_use="id"),
        )
    ]
    assert codes == ["FORBIDDEN", "UNAUTHENTICATED", "UNAUTHENTICATED"]
    assert running.ask("reader", "{ myReviews { id } }", token("ann"))["data"] == {
        "myReviews": [{"id": "r-1"}, {"id": "r-3"}]
    }
    assert running.library.users[-1] == "ann"


def test_a_write_is_read_back(running: Running) -> None:
    """The service answers with the place alone. Its 400 is the user's mistake, with the member."""
    book = demo_data().BOOKS[0]["id"]
    query = (
        'mutation W($book: ID!, $stars: Int!) { writeReview(input: { bookId: $book, stars: $stars, text: "t" })'
        " { review { id stars } userErrors { field message code } } }"
    )
    wrong = running.ask("reader", query, token("ann"), book=book, stars=9)["data"]["writeReview"]
    assert wrong["review"] is None
    assert [each["code"] for each in wrong["userErrors"]] == ["INVALID"]
    written = running.ask("reader", query, token("ann"), book=book, stars=4)
    assert written["data"]["writeReview"] == {"review": {"id": "r 99", "stars": 4}, "userErrors": []}


def test_the_service_answers_the_gateway_alone(running: Running, library: tuple[Library, str]) -> None:
    """Without the gateway's API key it refuses, so every answer above shows that the key was sent."""
    book = demo_data().BOOKS[0]["id"]
    url = f"{library[1]}/v2/books/{book}"
    assert running.http.get(url).status_code == 401
    assert running.http.get(url, headers={"x-service-key": API_KEY}).status_code == 200
