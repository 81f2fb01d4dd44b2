"""An application as a value: what contradicts itself is refused, and how one is found by its name."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import strawberry

from bff.app import App, AppError, find_app
from bff.graph.variants import Variant
from bff.upstream.reads import ById
from bff.upstream.records import Record
from bff.upstream.source import Source
from datasources.orders import Order, Orders
from datasources.products import Products
from datasources.users import Users
from schema.app import app
from schema.variants import WEB


class Ghost(Record, frozen=True):
    """A record of no source of the shop."""

    id: int


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder; what is imported from it is forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": ()}, "expected at least one source"),
        ({"variants": ()}, "expected at least one variant"),
        ({"sources": (Users, Orders, Users)}, "expected sources with different names, got twice: users"),
        ({"variants": (WEB, Variant("web"))}, "expected variants with different names, got twice: web"),
        ({"rules": {Ghost: lambda *_: None}}, "rules: Ghost: not a record of any source"),
    ],
    ids=["no source", "no variant", "a source twice", "a variant twice", "a rule for nothing"],
)
def test_what_contradicts_itself_is_refused(change: dict[str, object], message: str) -> None:
    """When it is made, by a message that names it."""
    with pytest.raises(AppError, match=f"^{message}$"):
        replace(app, **change)  # type: ignore[arg-type] # wrong on purpose


def test_a_field_of_a_source_that_the_application_lacks_is_named() -> None:
    """Before anything is served."""
    without = replace(app, sources=(Users, Products), rules={})
    with pytest.raises(AppError, match=r"^\w+\.\w+ is loaded from Orders, which is not among the application's sources$"):
        _ = without.graph


@pytest.mark.parametrize("name", ["Web", "", "a__b", "a-b", "_a", "1a", "a" * 64])
def test_a_variant_s_name_is_checked(name: str) -> None:
    """It is a part of paths, settings and environment variables."""
    with pytest.raises(ValueError, match="expected lower-case letters"):
        Variant(name)


@pytest.mark.parametrize("name", ["Orders", "a__b", "a-b", "_a", "1a", "a" * 64])
def test_a_source_s_name_is_checked(name: str) -> None:
    """It is a part of settings and environment variables."""
    with pytest.raises(TypeError, match="expected lower-case letters"):
        type("Bad", (Source,), {"name": name, "path": "/bad", "record": Order})


def test_a_source_s_declaration_is_checked() -> None:
    """A path that is no path, a read of a member that the record lacks."""
    with pytest.raises(TypeError, match="expected a path such as /bad, got 'bad'"):
        type("Bad", (Source,), {"path": "bad", "record": Order})
    with pytest.raises(TypeError, match=r"bad\.page: expected a member of Order \(id, .*\), got 'colour'"):
        type("Bad", (Source,), {"path": "/bad", "record": Order, "page": type(Orders.page)(exact=("colour",))})


def test_a_subclass_of_a_source_has_reads_of_its_own() -> None:
    """So a key of one is never a key of the other."""
    other: Any = type("OldOrders", (Orders,), {"path": "/old-orders"})
    assert (other.name, Orders.name) == ("old_orders", "orders")
    assert isinstance(other.by_id, ById)
    assert other.by_id is not Orders.by_id
    assert other.by_id.request == "GET /old-orders?ids="


def test_an_application_is_found_by_its_name(folder: Path) -> None:
    """In the working folder."""
    (folder / "shop_one.py").write_text("from schema.app import app as shop\n")
    assert find_app("shop_one:shop", folder) is app


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_at_all:app", "there is no module nowhere_at_all"),
        ("shop_two", "expected module:name, got 'shop_two'"),
        ("shop_two:", "expected module:name"),
        (":app", "expected module:name"),
        ("shop_two:other", "the module shop_two has no other"),
        ("shop_two:number", "expected a bff.App, got int"),
    ],
)
def test_what_is_no_application_is_said(folder: Path, name: str, message: str) -> None:
    """By a message with the name that was looked up."""
    (folder / "shop_two.py").write_text("number = 1\n")
    with pytest.raises(AppError, match=message):
        find_app(name, folder)


def test_an_error_inside_the_application_is_its_own(folder: Path) -> None:
    """A module that it imports and that is missing is not confused with the application."""
    (folder / "shop_three.py").write_text("import is_missing_here\n")
    with pytest.raises(ModuleNotFoundError, match="is_missing_here"):
        find_app("shop_three:app", folder)


def test_a_package_from_elsewhere_does_not_stand_in_for_the_folder_s_own(folder: Path) -> None:
    """Without an `__init__.py` Python prefers any installed package of that name."""
    (folder / "schema").mkdir()
    (folder / "schema" / "app.py").write_text("app = None\n")
    with pytest.raises(AppError, match=r"add schema/__init__\.py"):
        find_app("schema.app:app", folder)


def test_an_app_is_compared_by_identity() -> None:
    """So it may be a key, as of its settings."""
    assert replace(app) != app
    assert isinstance(hash(app), int)
    assert App.__dataclass_params__.frozen  # type: ignore[attr-defined] # a dataclass has it


def test_a_field_without_a_tag_is_named() -> None:
    """By one line, not by a traceback."""

    @strawberry.type
    class Untagged:
        sku: str = "1"

    with pytest.raises(AppError, match=r"Untagged\.sku"):
        _ = replace(app, query=Untagged, mutation=None).schemas
