"""Drift between the graph and its committed SDL: whatever differs is told, and what breaks clients is told as such."""

from collections.abc import Callable

import pytest
from graphql import build_schema

from bff.commands import schema as sdl
from schema.app import app as shop_app

NAMES = list(shop_app.variant_names)
SDL = {name: sdl.current(shop_app, name) for name in NAMES}

Commit = Callable[[str, str, str], None]


@pytest.fixture(autouse=True)
def _graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph as it is, made once: to make it takes longer than all of these tests."""
    monkeypatch.setattr(sdl, "current", lambda _, name: SDL[name])


@pytest.fixture
def commit(monkeypatch: pytest.MonkeyPatch) -> Commit:
    """Let the committed SDL of a variant have `old` where it has `new` now."""
    changed: dict[str, str] = dict(SDL)

    def change(variant: str, new: str, old: str) -> None:
        assert new in changed[variant]
        changed[variant] = changed[variant].replace(new, old)
        build_schema(changed[variant])

    monkeypatch.setattr(sdl, "committed", lambda _, name: changed.get(name))
    return change


@pytest.mark.parametrize("variant", NAMES)
def test_what_is_committed_is_a_whole_schema(variant: str) -> None:
    """Found beside the types, wherever the package is installed, and ends as a text file does."""
    text = sdl.committed(shop_app, variant)
    assert text is not None
    assert text.endswith("}\n")
    assert build_schema(text).query_type is not None


def test_what_was_never_committed_is_none() -> None:
    """A variant without a file."""
    assert sdl.committed(shop_app, "tv") is None


def test_no_drift_no_lines() -> None:
    """The graph is as it was committed."""
    assert sdl.check(shop_app) == []


@pytest.mark.parametrize(
    ("new", "old", "kind", "named"),
    [
        ("  sku: String!\n", "  sku: String!\n  ean: String\n", "breaking", "Product.ean"),
        ("  name: String\n", "  name: String!\n", "breaking", "User.name"),
        ("user(id: ID!): User", "user(id: ID): User", "breaking", "Query.user"),
        ("  PRO\n", "  PRO\n  MAX\n", "breaking", "MAX"),
        ("  PRO\n", "", "dangerous", "PRO"),
    ],
)
def test_a_change_is_told_by_what_it_does_to_clients(commit: Commit, new: str, old: str, kind: str, named: str) -> None:
    """That it breaks them or may, and where: in that variant and in no other."""
    commit("admin", new, old)
    (line,) = sdl.check(shop_app)
    assert line.startswith(f"admin: {kind}: ")
    assert named in line


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("  sku: String!\n", ""),
        ("  stock: Int!\n", "  stock: Int\n"),
        ('"""Somebody who may sign in and order."""', '"""Somebody."""'),
    ],
    ids=["a new field", "no longer null", "words"],
)
def test_what_breaks_nobody_is_drift_all_the_same(commit: Commit, new: str, old: str) -> None:
    """The diff of the committed SDL is the review: it has to be whole."""
    commit("admin", new, old)
    assert sdl.check(shop_app) == ["admin: differs, and breaks nobody"]


def test_what_breaks_comes_first(commit: Commit) -> None:
    """Of one variant; the variants stand in their order."""
    commit("mobile", "  PRO\n", "")
    commit("mobile", "  itemCount: Int!\n", "  itemCount: Int!\n  weight: Float\n")
    commit("web", "  category: String!\n", "")
    lines = sdl.check(shop_app)
    assert [line.rpartition(": ")[0] or line for line in lines[1:]] == ["mobile: breaking", "mobile: dangerous"]
    assert lines[0] == "web: differs, and breaks nobody"
    assert "Order.weight" in lines[1]
    assert "PRO" in lines[2]


def test_a_variant_never_committed_is_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new variant's SDL has to be committed too."""
    committed = {name: SDL[name] for name in NAMES if name != "mobile"}
    monkeypatch.setattr(sdl, "committed", lambda _, name: committed.get(name))
    assert sdl.check(shop_app) == ["mobile: no SDL is committed"]
