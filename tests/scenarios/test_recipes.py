"""The recipes of docs/recipes.md, applied as they stand there to a copy of the shop, which is then asked."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


@dataclass
class Hunk:
    """A place in a file, as lines before and after."""

    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


@dataclass
class Recipe:
    """A section's blocks: hunks by file, and how many lines they add, without empty ones."""

    files: dict[str, list[Hunk]]
    added: int

    def apply(self, folder: Path) -> None:
        """Change the files. Each place must be in its file exactly once."""
        for name, hunks in self.files.items():
            file = folder / name
            if hunks[0].old == []:
                assert not file.exists(), name
                file.write_text("\n".join(hunks[0].new) + "\n", encoding="utf-8")
                continue
            lines = file.read_text(encoding="utf-8").split("\n")
            for hunk in hunks:
                length = len(hunk.old)
                places = [at for at in range(len(lines)) if lines[at : at + length] == hunk.old]
                assert len(places) == 1, (name, hunk.old, places)
                lines[places[0] : places[0] + length] = hunk.new
            file.write_text("\n".join(lines), encoding="utf-8")


def recipes() -> dict[str, Recipe]:
    """Each section by its title."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        files: dict[str, list[Hunk]] = {}
        added = 0
        hunks: list[Hunk] = []
        for line in "\n".join(re.findall(r"```diff\n(.*?)\n```", section, re.DOTALL)).split("\n"):
            if line.startswith("# "):
                hunks = files.setdefault(line[2:], [Hunk()])
            elif line == "@@":
                hunks.append(Hunk())
            else:
                mark, text = line[:1], line[1:]
                assert mark in {" ", "+", "-"}, line
                added += mark == "+" and bool(text.strip())
                hunks[-1].old += [text] if mark in " -" else []
                hunks[-1].new += [text] if mark in " +" else []
        found[section.partition("\n")[0]] = Recipe(files, added)
    return found


RECIPES = recipes()

ASK = """
import asyncio
import sys

from bff import Viewer
from bff.commands.schema import check
from bff.testing import Reply, Scripted, running
from schema.app import app

ADMIN = Viewer("1", roles=frozenset({"admin"}))
USER = {"email": "a@b.c", "tier": "free", "createdAt": "2026-01-01T00:00:00Z"}
PRODUCT = {"sku": "A", "name": "N", "description": "D", "price": 1, "currency": "USD", "stock": 1, "category": "C",
           "imageUrl": "http://x/1", "updatedAt": "2026-01-01T00:00:00Z"}

async def main():
    assert app.schemas
    print(len(check(app)) > 0)
    %s

asyncio.run(main())
"""

FIELD = """
    products = Scripted({"/products/1": {"id": 1, "weightG": 250, **PRODUCT}, "/products/2": {"id": 2, **PRODUCT}})
    async with running(app, {"products": products}) as gateway:
        answer = await gateway.ask("web", '{ product(id: "1") { weightG } }')
        assert answer.body == {"data": {"product": {"weightG": 250}}}, answer.body
        answer = await gateway.ask("admin", '{ product(id: "2") { weightG } }', viewer=ADMIN)
        assert answer.body == {"data": {"product": {"weightG": None}}}, answer.body
        answer = await gateway.ask("mobile", '{ product(id: "1") { weightG } }')
        assert answer.data is None, answer.body  # there is no such field
        assert len(answer.errors) == 1, answer.body
"""

TO_ONE = """
    found = {"items": [{"id": 1, **USER}, {"id": 2, **USER, "referrerId": 1}, {"id": 3, **USER, "referrerId": 1}]}
    users = Scripted({"/users": found | {"nextCursor": None, "total": 3}, "/users/1": found["items"][0]})
    async with running(app, {"users": users}, {"sources": {"users": {"cache": {"enabled": False}}}}) as gateway:
        answer = await gateway.ask("admin", "{ users { nodes { id referrer { id } } } }", viewer=ADMIN)
        assert [each["referrer"] for each in answer.data["users"]["nodes"]] == [None, {"id": "1"}, {"id": "1"}], answer.body
        assert len(answer.calls) == 1, answer.calls  # it was in the page
        answer = await gateway.ask("admin", '{ user(id: "1") { referrer { id } } }', viewer=ADMIN)
        assert answer.body == {"data": {"user": {"referrer": None}}}, answer.body
"""

TO_MANY = """
    page = {"items": [{"id": 1, **USER}, {"id": 2, **USER}], "nextCursor": None, "total": 2}
    referred = {"items": [{"id": 3, **USER, "referrerId": 1}, {"id": 4, **USER, "referrerId": 1}]}
    users = Scripted({"/users?limit=2": page, "/users?referrerIds=1,2&limit=5": referred})
    async with running(app, {"users": users}) as gateway:
        answer = await gateway.ask("admin", "{ users(first: 2) { nodes { referred(first: 5) { id } } } }", viewer=ADMIN)
        assert answer.data == {"users": {"nodes": [{"referred": [{"id": "3"}, {"id": "4"}]}, {"referred": []}]}}, answer.body
"""

SOURCE = """
    review = {"id": "r-1", "stars": 5, "text": "Good."}
    reviews = Scripted({"/reviews/r-1": review, "/reviews": {"items": [review], "nextCursor": None, "total": 1}})
    async with running(app, {"reviews": reviews}, {"sources": {"reviews": {"timeout_s": 1}}}) as gateway:
        for variant in ("web", "mobile", "admin"):
            query = '{ review(id: "r-1") { id stars text } reviews { totalCount } }'
            answer = await gateway.ask(variant, query, viewer=ADMIN)
            assert answer.body == {"data": {"review": review, "reviews": {"totalCount": 1}}}, answer.body
"""

VARIANT = """
    async with running(app, settings={"variants": {"kiosk": {"limits": {"cost": 100}}}}, mode="dev") as gateway:
        answer = await gateway.ask("kiosk", '{ product(id: "1") { name } }')
        assert answer.body == {"data": {"product": {"name": "Product 1"}}}, answer.body
        page = await gateway.request("GET", "/kiosk/graphql", headers={"accept": "text/html"})
        assert page.status == 200
"""

POLICY = """
    write = 'mutation { updateProduct(id: "1", input: {stock: 3}) { product { stock } } }'
    async with running(app, settings={"sources": {"products": {"reads_only": True}}}, viewer=ADMIN) as gateway:
        answer = await gateway.ask("admin", '{ product(id: "1") { name } }')
        assert answer.errors == [], answer.body
        answer = await gateway.ask("admin", write)
        assert list(answer.codes.values()) == ["UPSTREAM_UNAVAILABLE"], answer.body
        assert answer.calls == []
    async with running(app, viewer=ADMIN) as gateway:
        assert (await gateway.ask("admin", write)).errors == []
"""

METRIC = """
    import time
    def late(_):
        time.sleep(0.6)
        return {"id": 1, **PRODUCT}
    products = Scripted({"/products/1": late, "/products/2": {"id": 2, **PRODUCT}})
    async with running(app, {"products": products}) as gateway:
        for id in ("1", "2"):
            assert (await gateway.ask("web", "query Q($id: ID!) { product(id: $id) { name } }", {"id": id})).errors == []
        metrics = (await gateway.request("GET", "/metrics")).body.decode()
        assert 'bff_upstream_slow_calls_total{source="products"} 1.0' in metrics
"""

PROOFS = {
    "A field": (FIELD, True),
    "A relation to one": (TO_ONE, True),
    "A relation to many": (TO_MANY, True),
    "A source": (SOURCE, True),
    "A variant": (VARIANT, True),
    "A policy": (POLICY, False),
    "A metric": (METRIC, False),
}
"""For each recipe: what is asked, and whether the graph changes."""


def test_every_recipe_is_proved() -> None:
    """None is added to the page without a proof."""
    assert RECIPES.keys() == PROOFS.keys()


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_works(title: str, tmp_path: Path) -> None:
    """On a copy of the shop and the gateway, as linters want it; `bff schema check` notices each change of the graph."""
    for package in ("bff", "schema", "datasources"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    RECIPES[title].apply(tmp_path)
    for check in (["check", "--select", "E,F,I,W"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *check, "--no-cache", "--config", str(ROOT / "pyproject.toml")]
        linted = subprocess.run([*ruff, *RECIPES[title].files], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert linted.returncode == 0, linted.stdout + linted.stderr
    proof, changes_graph = PROOFS[title]
    ours = ("BFF_", "JWT_", "PYTHON", "USERS_", "ORDERS_", "PRODUCTS_")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK % proof],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith(ours)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{changes_graph}\n"


@pytest.mark.parametrize("title", RECIPES)
def test_the_table_has_a_recipe_s_figures(title: str) -> None:
    """Files and lines as the blocks have them."""
    recipe = RECIPES[title]
    anchor = title.lower().replace(" ", "-")
    assert f"| [{title.lower()}](#{anchor}) | {len(recipe.files)} | {recipe.added} |" in PAGE, recipe.added
