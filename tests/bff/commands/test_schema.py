"""Differences between the graph and its committed SDL: each is reported, breaking changes as such."""

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
    """Prints each variant's SDL only once, because that takes longer than all of these tests."""
    monkeypatch.setattr(sdl, "current", lambda _, name: SDL[name])


@pytest.fixture
def commit(monkeypatch: pytest.MonkeyPatch) -> Commit:
    """Replaces `new` in the committed SDL of a variant by `old`."""
    changed: dict[str, str] = dict(SDL)

    def change(variant: str, new: str, old: str) -> None:
        assert new in changed[variant]
        changed[variant] = changed[variant].replace(new, old)
        build_schema(changed[variant])

    monkeypatch.setattr(sdl, "committed", lambda _, name: changed.get(name))
    return change


@pytest.mark.parametrize("variant", NAMES)
def test_the_committed_sdl_is_a_complete_schema(variant: str) -> None:
    """It is found in the package's folder, and ends with a newline."""
    text = sdl.committed(shop_app, variant)
    assert text is not None
    assert text.endswith("}\n")
    assert build_schema(text).query_type is not None


def test_without_a_file_the_committed_sdl_is_none() -> None:
    """For a variant without a file."""
    assert sdl.committed(shop_app, "tv") is None


def test_an_unchanged_graph_has_no_differences() -> None:
    """The list is empty."""
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
def test_a_change_is_classified_by_its_effect_on_clients(commit: Commit, new: str, old: str, kind: str, named: str) -> None:
    """As breaking or dangerous, with the variant and the element."""
    commit("admin", new, old)
    (line,) = sdl.check(shop_app)
    assert line.startswith(f"admin: {kind}: ")
    assert named in line


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("  sku: String!\n", ""),
        ("  stock: Int!\n", "  stock: Int\n"),
        ('"""A customer of the shop."""', '"""Somebody."""'),
    ],
    ids=["a new field", "no longer null", "a description"],
)
def test_a_safe_change_is_a_difference(commit: Commit, new: str, old: str) -> None:
    """Every change must be committed, because the diff of the SDL is what reviewers read."""
    commit("admin", new, old)
    assert sdl.check(shop_app) == ["admin: differs, without a breaking change"]


def test_breaking_changes_come_first(commit: Commit) -> None:
    """Within each variant; the variants are in order."""
    commit("mobile", "  PRO\n", "")
    commit("mobile", "  itemCount: Int!\n", "  itemCount: Int!\n  weight: Float\n")
    commit("web", "  category: String!\n", "")
    lines = sdl.check(shop_app)
    assert [line.rpartition(": ")[0] or line for line in lines[1:]] == ["mobile: breaking", "mobile: dangerous"]
    assert lines[0] == "web: differs, without a breaking change"
    assert "Order.weight" in lines[1]
    assert "PRO" in lines[2]


def test_a_variant_without_committed_sdl_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new variant's SDL must be committed."""
    committed = {name: SDL[name] for name in NAMES if name != "mobile"}
    monkeypatch.setattr(sdl, "committed", lambda _, name: committed.get(name))
    assert sdl.check(shop_app) == ["mobile: no SDL is committed"]
