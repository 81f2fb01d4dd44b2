"""Insertions into people's files: at the right place, with all other text as it was, or not at all."""

import ast

import pytest

from bff.scaffold import edits
from bff.scaffold.edits import NoPlace

APP = '''"""The shop."""

from bff import App
from datasources.orders import Orders  # the first one
from schema.query import Query

app = App(query=Query, sources=(Orders,), name="ü")  # one line
'''


def test_an_import_takes_its_place_in_the_alphabet() -> None:
    """Among those of its package; comments stay."""
    text = edits.add_import(APP, "datasources.users", "Users")
    assert "import Orders  # the first one\nfrom datasources.users import Users\nfrom schema" in text
    text = edits.add_import(APP, "datasources.items", "Items")
    assert "from datasources.items import Items\nfrom datasources.orders" in text


def test_a_name_joins_the_import_of_its_module() -> None:
    """In the order of linters: constants, classes, functions."""
    assert "from bff import URL, App, Access\n" not in edits.add_import(APP, "bff", "Access")
    text = edits.add_import(edits.add_import(APP, "bff", "lookup"), "bff", "Access")
    assert "from bff import Access, App, lookup\n" in text


def test_what_is_imported_already_stays() -> None:
    """From the module itself or from another one of its package."""
    assert edits.add_import(APP, "bff", "App") == APP
    deep = APP.replace("from bff import App", "from bff.app import App")
    assert edits.add_import(deep, "bff", "App") == deep


def test_an_application_s_own_imports_stand_in_a_block_of_their_own() -> None:
    """Behind those of other packages."""
    text = edits.add_import("import ast\n\nfrom bff import App\n\nx = 1\n", "schema.query", "Query")
    assert text == "import ast\n\nfrom bff import App\n\nfrom schema.query import Query\n\nx = 1\n"


@pytest.mark.parametrize(
    "text",
    [
        "Users = 1\nfrom bff import App\n",
        "x = 1\n",
        "from datasources.users import (\n    Other,\n)\n",
        "from datasources.users import Other  # why\n",
        "from datasources.users import *\n",
        "def broken(:\n",
        "from datasources.items import Items\r",
    ],
)
def test_an_import_without_a_place_is_not_guessed(text: str) -> None:
    """A name that is taken, no imports, an import in another form, no Python."""
    with pytest.raises(NoPlace):
        edits.add_import(text, "datasources.users", "Users")


def test_an_item_on_one_line() -> None:
    """The comma of a single item goes; what is behind stays, also behind characters of several bytes."""
    text = edits.add_keyword_item(APP, "App", "sources", "Users")
    assert 'app = App(query=Query, sources=(Orders, Users), name="ü")  # one line\n' in text
    after = edits.add_keyword_item('app = App(name="üü", sources=[A, B])\n', "App", "sources", "C")
    assert after == 'app = App(name="üü", sources=[A, B, C])\n'


def test_a_line_that_would_be_too_long_becomes_several() -> None:
    """One item a line, with a comma behind the last, as formatters keep it."""
    names = [f"Source{number}" for number in range(11)]
    text = edits.add_keyword_item(f"app = App(sources=({', '.join(names)}))\n", "App", "sources", "Last")
    assert text == "app = App(sources=(\n" + "".join(f"    {name},\n" for name in [*names, "Last"]) + "))\n"
    ast.parse(text)


@pytest.mark.parametrize("ending", ["", ",", ",  # the last one", "  # no comma, but one in the comment"])
def test_an_item_on_a_line_of_its_own(ending: str) -> None:
    """Comments stay behind their items."""
    text = f"app = App(\n    sources=(\n        A,  # first\n        B{ending}\n    ),\n)\n"
    after = edits.add_keyword_item(text, "App", "sources", "C")
    comma = ending if ending.startswith(",") else f",{ending}"
    assert after == f"app = App(\n    sources=(\n        A,  # first\n        B{comma}\n        C,\n    ),\n)\n"


@pytest.mark.parametrize(
    "text",
    [
        "app = App(sources=SOURCES)\n",
        "app = App(query=Query)\n",
        "app = make()\n",
        "app = App(sources=())\n",
        "app = App(sources=(A,\n    B))\n",
        "app = App(sources=(\n    A,\n    B))\n",
    ],
)
def test_a_call_of_another_shape_is_left_alone(text: str) -> None:
    """A variable, nothing, an empty tuple, brackets on the lines of items."""
    with pytest.raises(NoPlace):
        edits.add_keyword_item(text, "App", "sources", "C")


def test_a_variant_and_its_place_in_everyone() -> None:
    """The line stands behind the statement before; an annotation makes no difference."""
    text = 'WEB = V(\n    "web",\n)\n# Everyone there is.\nEVERYONE: tuple[V, ...] = (WEB,)\n'
    text = edits.add_before_assignment(text, "EVERYONE", 'TV = V("tv")')
    assert edits.add_assigned_item(text, "EVERYONE", "TV") == (
        'WEB = V(\n    "web",\n)\nTV = V("tv")\n# Everyone there is.\nEVERYONE: tuple[V, ...] = (WEB, TV)\n'
    )


@pytest.mark.parametrize("text", ["EVERYONE = WEB, MOBILE\n", "EVERYONE = tuple(found)\n", "EVERYBODY = (WEB,)\n"])
def test_everyone_of_another_shape_is_left_alone(text: str) -> None:
    """Without brackets, computed, of another name."""
    with pytest.raises(NoPlace):
        edits.add_assigned_item(text, "EVERYONE", "TV")


def test_lines_at_the_end_of_a_class() -> None:
    """With the indentation of its body, before what follows the class, in files of either line ending."""
    text = "class Query:\r\n  a: int = f(\r\n    1\r\n  )\r\n\r\nx = 1\r\n"
    after = edits.add_to_class(text, "Query", ["b: int = 2", "c: int = 3"])
    assert after == "class Query:\r\n  a: int = f(\r\n    1\r\n  )\r\n\r\n  b: int = 2\r\n  c: int = 3\r\n\r\nx = 1\r\n"


def test_a_last_line_without_an_ending() -> None:
    """Gets one."""
    assert edits.add_to_class("class Query:\n    a = 1", "Query", ["b = 2"]) == "class Query:\n    a = 1\n\n    b = 2\n"


def test_an_entry_of_the_returned_dictionary() -> None:
    """On one line and on several."""
    assert edits.add_returned_entry('def f():\n    return {"a": a()}\n', "f", "b", "b()") == (
        'def f():\n    return {"a": a(), "b": b()}\n'
    )
    assert edits.add_returned_entry('def f():\n    return {\n        "a": a(),\n    }\n', "f", "b", "b()") == (
        'def f():\n    return {\n        "a": a(),\n        "b": b(),\n    }\n'
    )


@pytest.mark.parametrize(
    "text",
    ["def f():\n    return found\n", "def g():\n    return {1: 2}\n", "def f():\n    return {\n        **a,\n    }\n"],
)
def test_a_function_of_another_shape_is_left_alone(text: str) -> None:
    """A variable, another function, entries that are unpacked."""
    with pytest.raises(NoPlace):
        edits.add_returned_entry(text, "f", "b", "b()")
