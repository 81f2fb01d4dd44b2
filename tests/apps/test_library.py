"""A second application, run as its team would: from the wheel, outside this repository, beside PyPI's package `schema`.

`tests/apps/library` is copied to a temporary folder. The environment has the wheel of `bff` and its dependencies.
"""

import ast
import json
import re
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.gateways import free_port
from tests.support.installed import LIBRARY, PLAIN, ROOT, Installed, started

URLS = {f"{name}_SERVICE_URL": "http://127.0.0.1:1" for name in ("AUTHORS", "BOOKS", "REVIEWS")}
OUTSIDE = "print(__import__('schema').MARKER, hasattr(__import__('schema'), 'app'))"


@dataclass(frozen=True)
class Dev:
    """A running `bff dev`: a client of it, and the tokens that it has printed."""

    http: httpx.Client
    urls: Mapping[str, str]
    services: Mapping[str, str]
    tokens: Mapping[str, str]

    def post(self, variant: str, query: str, viewer: str | None = None, **variables: Any) -> httpx.Response:
        """POST an operation to a variant, as one of the demo viewers."""
        headers = {} if viewer is None else {"authorization": f"Bearer {self.tokens[viewer]}"}
        return self.http.post(self.urls[variant], json={"query": query, "variables": variables}, headers=headers)

    def ask(self, variant: str, query: str, viewer: str | None = None, **variables: Any) -> Any:
        """The data of an answer without errors."""
        body = self.post(variant, query, viewer, **variables).json()
        assert "errors" not in body, body
        return body["data"]

    def upstream_calls(self) -> float:
        """How many calls the gateway has made, by its metrics."""
        text = self.http.get(self.urls["reader"].replace("/reader/graphql", "/metrics")).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("bff_upstream_calls_total{"))


@pytest.fixture(scope="module")
def dev(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """The library under `bff dev`."""
    with started(installed, tmp_path_factory.mktemp("dev"), "dev", "--port", "0") as command:
        lines = [line.split() for line in command.wait_for("librarian ey").splitlines()]
        found = {line[0]: line[1] for line in lines if len(line) == 2 and line[1].startswith(("http", "ey"))}
        urls, services, tokens = (
            {name: found[name] for name in names}
            for names in (("reader", "desk"), ("authors", "books", "reviews"), ("ann", "librarian"))
        )
        command.wait_until_ready(urls["reader"].removesuffix("/reader/graphql"))
        with httpx.Client(trust_env=False, timeout=30) as http:
            yield Dev(http, urls, services, tokens)
        assert command.stop() == 0


@pytest.fixture(scope="module")
def books(dev: Dev) -> list[dict[str, Any]]:
    """All books, from their service."""
    items: list[dict[str, Any]] = dev.http.get(f"{dev.services['books']}/books?limit=200").json()["items"]
    return items


# The package.


def test_the_wheel_holds_the_gateway_alone(installed: Installed) -> None:
    """Not the shop: an application's `schema` and `datasources` are its own."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"bff"}
    assert {"bff/testing.py", "bff/testing_plugin.py", "bff/py.typed"} <= set(names)


def test_a_package_named_schema_stays_what_it_was(installed: Installed, tmp_path: Path) -> None:
    """Elsewhere `import schema` is PyPI's; in the library's folder it is the library's."""
    elsewhere = subprocess.run(
        [str(installed.python), "-c", OUTSIDE], cwd=tmp_path, env=PLAIN, capture_output=True, text=True, check=True
    )
    assert elsewhere.stdout == "the package from PyPI False\n"
    where = installed.run("-c", "import bff, schema; print(bff.__file__); print(schema.__file__)").stdout.splitlines()
    assert str(ROOT) not in where[0]
    assert where[1] == str(installed.folder / "schema" / "__init__.py")


def test_the_application_is_found_before_an_installed_package(installed: Installed) -> None:
    """Also if its folder stands in the path already, but behind the installed packages, as for an editable install."""
    code = (
        "import sys; from pathlib import Path; sys.path.append(str(Path.cwd()));"
        "from bff.app import find_app; print(find_app('schema.app:app', Path.cwd()).source_names)"
    )
    ended = installed.run("-P", "-c", code)
    assert ended.stdout == "('authors', 'books', 'reviews')\n", ended.stderr


def test_the_package_needs_no_pytest(installed: Installed) -> None:
    """Only the plugin imports it."""
    code = "import sys, bff.testing; print('pytest' in sys.modules)"
    assert installed.run("-c", code).stdout == "False\n"


def test_the_installed_script_finds_the_application(installed: Installed) -> None:
    """`bff` looks in the working folder, though its own folder stands first in the path."""
    script = installed.python.with_name("bff")
    ended = subprocess.run(
        [str(script), "schema", "check"], cwd=installed.folder, env=PLAIN, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


# What the application is made of.


def test_the_library_imports_the_public_face_alone() -> None:
    """Nothing below `bff`, but for `bff.testing`."""
    for file in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            own = {module for module in modules if module.split(".")[0] == "bff"}
            assert own <= {"bff", "bff.testing"}, file


def test_the_gateway_knows_nothing_of_the_library() -> None:
    """No word of it stands in the package."""
    words = re.compile(r"\b(books?|authors?|reviews?|librarian)\b", re.IGNORECASE)
    for file in (ROOT / "bff").rglob("*.py"):
        assert not words.findall(file.read_text(encoding="utf-8")), file


def test_a_source_and_its_type_take_few_lines() -> None:
    """Three reads of books and their type: a file each, and lines in the application and the query."""
    whole = {LIBRARY / "datasources" / "books.py", LIBRARY / "schema" / "types" / "book.py"}
    figures = {}
    for file in LIBRARY.rglob("*.py"):
        if "demo" in file.parts or file.parent.name == "tests":
            continue
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if file in whole:
            figures[file.name] = len(lines)
        elif file.name in {"app.py", "query.py"}:
            figures[file.name] = sum(bool(re.search(r"\b[Bb]ooks?\b", line)) for line in lines)
    print(figures, sum(figures.values()))  # noqa: T201 - shown with -rP
    assert len(figures) <= 4
    assert sum(figures.values()) <= 60, figures


@pytest.mark.long
def test_the_library_is_well_typed(installed: Installed) -> None:
    """Mypy --strict has nothing to say, with the types of the installed package."""
    check = [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", "--config-file=", "--python-executable"]
    ended = subprocess.run(
        [*check, str(installed.python), "schema", "datasources", "tests"],
        cwd=installed.folder,
        env=PLAIN,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_library_s_own_tests_pass(installed: Installed) -> None:
    """They need pytest alone: no plugin for asyncio."""
    ended = installed.run("-m", "pytest", "-q", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert ended.returncode == 0, ended.stdout + ended.stderr


# Commands.


def test_the_committed_sdl_is_that_of_the_graph(installed: Installed) -> None:
    """`bff schema check` agrees, and notices a change."""
    assert installed.bff("schema", "check").returncode == 0
    file = installed.folder / "schema" / "sdl" / "desk.graphql"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("shelf: String!", "shelf: String!\n  hall: Int"), encoding="utf-8")
    try:
        ended = installed.bff("schema", "check")
    finally:
        file.write_text(text, encoding="utf-8")
    assert ended.returncode == 1
    assert "desk: breaking: Field Book.hall was removed." in ended.stderr


def test_each_variant_has_its_own_sdl(installed: Installed) -> None:
    """`bff schema export` prints what each of them sees; a variant of another application is none."""
    reader, desk = (installed.bff("schema", "export", name).stdout for name in ("reader", "desk"))
    assert "shelf" in desk
    assert "shelf" not in reader
    assert "writeReview" in reader
    assert "type Mutation" not in desk
    refused = installed.bff("schema", "export", "web")
    assert (refused.returncode, refused.stderr) == (2, "bff: VARIANT: expected reader, desk, got web\n")


def test_explain_names_the_calls_and_their_waves(installed: Installed, tmp_path: Path) -> None:
    """A book's reviews are asked for together with the book, since their key is its id."""
    file = tmp_path / "book.graphql"
    file.write_text('{ book(id: "00000000-0000-4000-8000-000000000000") { author { name } reviews { text } } }')
    ended = installed.bff("explain", "reader", str(file), "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.dumps(json.loads(ended.stdout))
    for name in ("books", "authors", "reviews"):
        assert name in told


def test_serve_names_the_missing_urls_of_its_own_sources(installed: Installed) -> None:
    """It asks for the library's services, and for no one else's."""
    ended = installed.bff("serve", BOOKS_SERVICE_URL="http://127.0.0.1:1")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "bff: authors_service_url (AUTHORS_SERVICE_URL): missing",
        "bff: reviews_service_url (REVIEWS_SERVICE_URL): missing",
    ]


def test_settings_follow_from_the_library_s_sources(installed: Installed) -> None:
    """A setting of a source is taken from the environment and checked; an unknown source stops the start."""
    code = (
        "import os; from schema.app import app; from bff.settings import load;"
        "print(load(app, os.environ).source('books').timeout_s)"
    )
    assert installed.run("-c", code, BFF_SOURCES__BOOKS__TIMEOUT_S="1.5", **URLS).stdout == "1.5\n"
    out_of_range = installed.bff("serve", BFF_SOURCES__BOOKS__TIMEOUT_S="0", **URLS)
    assert out_of_range.returncode == 2
    assert "sources.books.timeout_s (BFF_SOURCES__BOOKS__TIMEOUT_S)" in out_of_range.stderr
    unknown = installed.bff("serve", BFF_SOURCES__ORDERS__TIMEOUT_S="1", **URLS)
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "bff: sources.orders (BFF_SOURCES__ORDERS): unknown setting in the environment\n",
    )


def test_a_timeout_of_the_environment_cuts_a_service_off(installed: Installed, tmp_path: Path) -> None:
    """In front of a books service that accepts connections and never answers, a book is an error after that time."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        books_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**URLS, "BOOKS_SERVICE_URL": books_url, "BFF_SOURCES__BOOKS__TIMEOUT_S": "0.1"}
        with started(installed, tmp_path, "serve", "--host", "127.0.0.1", "--port", str(port), **environment) as serve:
            serve.wait_until_ready(f"http://127.0.0.1:{port}")
            query = {"query": f'{{ book(id: "{UUID(int=7)}") {{ title }} }}'}
            answer = httpx.post(f"http://127.0.0.1:{port}/reader/graphql", json=query, timeout=1.5, trust_env=False).json()
            assert answer["data"] == {"book": None}
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["UPSTREAM_TIMEOUT"]
            assert serve.stop() == 0


# Over HTTP.


def test_a_book_is_looked_up_by_its_uuid(dev: Dev, books: list[dict[str, Any]]) -> None:
    """By its id in either case, on both variants; each variant has its own fields."""
    first = books[0]
    for text in (first["id"], first["id"].upper()):
        found = dev.ask("reader", "query Q($id: ID!) { book(id: $id) { id title genre author { name } } }", id=text)
        assert found["book"] == {"id": first["id"], "title": first["title"], "genre": "POETRY", "author": {"name": "Achebe"}}
    found = dev.ask("desk", "query Q($id: ID!) { book(id: $id) { shelf } }", "librarian", id=first["id"])
    assert found["book"] == {"shelf": "P-1901"}
    assert dev.post("desk", "{ __typename }", "ann").status_code == 403
    hidden = dev.post("reader", "query Q($id: ID!) { book(id: $id) { shelf } }", id=first["id"]).json()
    assert [error["extensions"]["code"] for error in hidden["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]


def test_an_id_of_nothing_is_null(dev: Dev) -> None:
    """A UUID that no book has: a call, and null without an error."""
    assert dev.ask("reader", "query Q($id: ID!) { book(id: $id) { title } }", id=str(UUID(int=7))) == {"book": None}


@pytest.mark.parametrize(
    "id", ["", "1", "r-1", "{00000000-0000-4000-8000-000000000000}", "0" * 32, "00000000-0000-4000-8000-00000000000g"]
)
def test_what_is_no_uuid_is_null_without_a_call(dev: Dev, id: str) -> None:
    """No service is asked for what it can't have given."""
    before = dev.upstream_calls()
    assert dev.ask("reader", "query Q($id: ID!) { book(id: $id) { title } }", id=id) == {"book": None}
    assert dev.upstream_calls() == before


def test_relations_go_both_ways(dev: Dev, books: list[dict[str, Any]]) -> None:
    """From an author to the books and back, and to their reviews."""
    query = (
        "query Q($id: ID!) { author(id: $id) { name books(first: 2) { id author { name } reviews { id book { id } } } } }"
    )
    author = dev.ask("reader", query, id=books[0]["authorId"])["author"]
    assert [book["id"] for book in author["books"]] == [books[0]["id"], books[1]["id"]]
    assert {book["author"]["name"] for book in author["books"]} == {author["name"]}
    assert [review["id"] for review in author["books"][1]["reviews"]] == ["r-4", "r/5,b 50%"]
    assert {review["book"]["id"] for review in author["books"][1]["reviews"]} == {books[1]["id"]}


def test_a_string_id_may_hold_any_character(dev: Dev) -> None:
    """A review's id with a slash, a comma, a blank and a percent sign; together with others it is asked for by itself."""
    query = 'query Q($id: ID!) { a: review(id: $id) { id } b: review(id: "r-1") { id } c: review(id: "r-2") { id } }'
    found = dev.ask("reader", query, id="r/5,b 50%")
    assert found == {"a": {"id": "r/5,b 50%"}, "b": {"id": "r-1"}, "c": {"id": "r-2"}}


def test_a_connection_is_paged_through_by_cursors(dev: Dev, books: list[dict[str, Any]]) -> None:
    """Each page begins where the last has ended, also from the middle of one, and the last says so."""
    query = (
        "query Q($after: String) { books(first: 7, after: $after)"
        " { totalCount edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }"
    )
    ids: list[str] = []
    after: str | None = None
    for _ in range(10):
        page = dev.ask("reader", query, after=after)["books"]
        ids += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert page["totalCount"] == len(books)
    assert ids == [book["id"] for book in books]
    middle = dev.ask("reader", query)["books"]["edges"][2]["cursor"]
    assert dev.ask("reader", query, after=middle)["books"]["edges"][0]["node"]["id"] == books[3]["id"]
    wrong = dev.post("reader", query, after="nonsense").json()
    assert [error["extensions"]["code"] for error in wrong["errors"]] == ["BAD_USER_INPUT"]


def test_a_connection_is_filtered(dev: Dev, books: list[dict[str, Any]]) -> None:
    """By a member that must be equal, whose type is the graph's own enum, and by a text that the service searches for."""
    query = (
        'query Q($genre: Genre) { books(first: 50, genre: $genre, title: "TITLE 1") { totalCount nodes { title genre } } }'
    )
    expected = [book["title"] for book in books if book["genre"] == "essay" and book["title"].startswith("Title 1")]
    found = dev.ask("reader", query, genre="ESSAY")["books"]
    assert [node["title"] for node in found["nodes"]] == expected
    assert found["totalCount"] == len(expected) > 0
    assert {node["genre"] for node in found["nodes"]} == {"ESSAY"}


def test_a_review_is_written_once_for_each_key(dev: Dev, books: list[dict[str, Any]]) -> None:
    """Sent twice it is one; with the same key and another text it is a mistake; its writer sees it, others do not."""
    query = (
        "mutation M($input: WriteReviewInput!) { writeReview(input: $input)"
        " { review { id published book { title } } userErrors { field code } } }"
    )
    given = {"bookId": books[9]["id"], "stars": 4, "text": "Good.", "idempotencyKey": f"key-{time.monotonic_ns()}"}
    first, again = (dev.ask("reader", query, "ann", input=given)["writeReview"] for _ in range(2))
    assert first == again
    assert first["userErrors"] == []
    assert first["review"]["book"] == {"title": books[9]["title"]}
    other = dev.ask("reader", query, "ann", input=given | {"text": "Bad."})["writeReview"]
    assert other == {"review": None, "userErrors": [{"field": ["idempotencyKey"], "code": "IDEMPOTENCY_KEY_REUSED"}]}
    new = first["review"]["id"]
    assert dev.ask("reader", "{ myReviews { id } }", "ann")["myReviews"][0] == {"id": new}
    look_up = "query Q($id: ID!) { review(id: $id) { stars } }"
    assert dev.ask("reader", look_up, "ann", id=new) == {"review": {"stars": 4}}
    assert dev.ask("reader", look_up, id=new) == {"review": None}


def test_mistakes_come_back_beside_the_review(dev: Dev, books: list[dict[str, Any]]) -> None:
    """What the service refuses, and an id that can't be a book's; without a token nothing is written."""
    query = (
        "mutation M($input: WriteReviewInput!) { writeReview(input: $input) { review { id } userErrors { field code } } }"
    )
    given = {"bookId": books[9]["id"], "stars": 9, "text": ""}
    refused = dev.ask("reader", query, "ann", input=given)["writeReview"]
    assert refused == {"review": None, "userErrors": [{"field": ["stars"], "code": "INVALID"}]}
    no_book = dev.ask("reader", query, "ann", input=given | {"bookId": "9"})["writeReview"]
    assert no_book == {"review": None, "userErrors": [{"field": ["bookId"], "code": "NOT_FOUND"}]}
    anonymous = dev.post("reader", query, input=given).json()
    assert [error["extensions"]["code"] for error in anonymous["errors"]] == ["UNAUTHENTICATED"]


def test_graphiql_offers_the_library_s_examples(dev: Dev) -> None:
    """Its page links the library's variants and holds its examples."""
    page = dev.http.get(dev.urls["reader"], headers={"accept": "text/html"}).text
    assert "The catalogue" in page
    assert "/desk/graphql" in page
    assert "/web/graphql" not in page
