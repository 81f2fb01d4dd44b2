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
