"""`bff new source --openapi` as people use it: what is written runs, passes its own tests and its linters."""

import json
from pathlib import Path

import pytest

from tests.scenarios.test_new import Workplace
from tests.support.openapi import STYLES, by_offset, has_more


@pytest.mark.long
def test_sources_of_all_conventions_live(tmp_path: Path) -> None:
    """One of each kind in one application, with links between them; then `bff dev` answers."""
    workplace = Workplace(tmp_path)
    workplace.run("bff", "new", "shop2", cwd=tmp_path)
    documents = {name: make() for name, make in STYLES.values()} | {"makers": by_offset(), "customers": has_more()}
    for name in ("makers", "customers", *(each for each, _ in STYLES.values())):
        (tmp_path / "api.json").write_text(json.dumps(documents[name]), encoding="utf-8")
        done = workplace.run("bff", "new", "source", name, "--openapi", "../api.json")
        assert done.returncode == 0, done.stderr
        assert "SDL" not in done.stderr
        assert "left as it is" not in done.stderr
    workplace.test()
    workplace.lint()
    query = """{
      parts(first: 1, inStock: true) { totalCount nodes { displayName maker { name } } }
      charges(first: 2) { nodes { customer { name } status } }
      droplets(first: 3, name: "name 2") { nodes { name region { slug } } }
      issues(first: 3) { nodes { state } pageInfo { hasNextPage } }
      note(id: 2) { title }
      customer(id: "a-2") { charges(first: 5) { id } }
    }"""
    assert workplace.ask({"web": query}, {}) == {
        "web": {
            "parts": {"totalCount": 2, "nodes": [{"displayName": "displayName 1", "maker": {"name": "name 1"}}]},
            "charges": {
                "nodes": [
                    {"customer": {"name": "name 1"}, "status": "FAILED"},
                    {"customer": {"name": "name 2"}, "status": "PENDING"},
                ]
            },
            "droplets": {"nodes": [{"name": "name 2", "region": {"slug": "slug 2"}}]},
            "issues": {
                "nodes": [{"state": "OPEN"}, {"state": "CLOSED"}, {"state": "OPEN"}],
                "pageInfo": {"hasNextPage": False},
            },
            "note": {"title": "title 2"},
            "customer": {"charges": [{"id": "a-2"}]},
        }
    }


SERVICE = """
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel


class Color(StrEnum):
    RED = "red"
    DARK_BLUE = "dark-blue"


class Size(BaseModel):
    height: float
    unit: str | None = None


class Book(BaseModel):
    id: UUID
    title: str
    color: Color
    author_id: int
    size: Size | None = None
    tags: list[str]
    printed_at: datetime


class Page(BaseModel):
    results: list[Book]
    count: int


BOOKS = [
    Book(
        id=UUID(int=number),
        title=f"Book {number}",
        color=Color.RED if number % 2 else Color.DARK_BLUE,
        author_id=number % 2 + 1,
        size=Size(height=number / 2) if number > 1 else None,
        tags=["new"],
        printed_at=datetime(2026, 1, number, tzinfo=UTC),
    )
    for number in range(1, 6)
]
api = FastAPI()


@api.get("/v1/books")
def books(
    skip: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
    color: Color | None = None,
    author_id: int | None = None,
    id: Annotated[list[UUID] | None, Query()] = None,
) -> Page:
    found = [
        each
        for each in BOOKS
        if color in {None, each.color} and author_id in {None, each.author_id} and (id is None or each.id in id)
    ]
    return Page(results=found[skip : skip + limit], count=len(found))


@api.get("/v1/books/{book_id}")
def book(book_id: UUID) -> Book:
    for each in BOOKS:
        if each.id == book_id:
            return each
    raise HTTPException(404)
"""

ASK = """
import asyncio
import json

from bff import Viewer
from bff.testing import running
from schema.app import app
from service import api

QUERIES = (
    "{ books(first: 2, color: DARK_BLUE) { totalCount nodes { title color size { height unit } tags printedAt } } }",
    "query A { a: book(id: \\"00000000-0000-0000-0000-000000000001\\") { title size { height } }"
    " b: book(id: \\"00000000-0000-0000-0000-000000000002\\") { title }"
    " c: book(id: \\"00000000-0000-0000-0000-000000000009\\") { title } }",
)


async def main():
    async with running(app, {"books": api}, viewer=Viewer("1")) as gateway:
        for query in QUERIES:
            answer = await gateway.ask("web", query)
            print(json.dumps([answer.data, answer.errors, [call[2] for call in answer.calls]]))


asyncio.run(main())
"""


def test_a_document_of_fastapi_s_own_fits_its_service(tmp_path: Path) -> None:
    """What FastAPI says of an application leads to a source that reads that application, page by page and by several ids."""
    workplace = Workplace(tmp_path)
    workplace.run("bff", "new", "shop2", cwd=tmp_path)
    (workplace.app / "service.py").write_text(SERVICE, encoding="utf-8")
    (workplace.app / "ask.py").write_text(ASK, encoding="utf-8")
    (workplace.app / "dump.py").write_text(
        "import json\nfrom service import api\nprint(json.dumps(api.openapi()))", encoding="utf-8"
    )
    (workplace.app / "api.json").write_text(workplace.run("dump").stdout, encoding="utf-8")
    done = workplace.run("bff", "new", "source", "books", "--openapi", "api.json")
    assert done.returncode == 0, done.stderr
    asked = workplace.run("ask")
    assert asked.returncode == 0, asked.stderr
    pages, objects = (json.loads(line) for line in asked.stdout.splitlines())
    blue = {"color": "DARK_BLUE", "tags": ["new"]}
    assert pages == [
        {
            "books": {
                "totalCount": 2,
                "nodes": [
                    {"title": "Book 2", "size": {"height": 1.0, "unit": None}, "printedAt": "2026-01-02T00:00:00Z", **blue},
                    {"title": "Book 4", "size": {"height": 2.0, "unit": None}, "printedAt": "2026-01-04T00:00:00Z", **blue},
                ],
            }
        },
        [],
        ["/v1/books?limit=2&skip=0&color=dark-blue"],
    ]
    assert objects[:2] == [{"a": {"title": "Book 1", "size": None}, "b": {"title": "Book 2"}, "c": None}, []]
    assert len(objects[2]) == 1
