"""The templates of generated files, with their names filled in."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from string import Template

_SUFFIX = ".tmpl"
_ROOT = files("bff.scaffold") / "templates"


def rendered(template: str, values: Mapping[str, str]) -> str:
    """One template, as `source/type.py`, filled in. Raises `KeyError` for a value that is missing."""
    return Template(_ROOT.joinpath(*f"{template}{_SUFFIX}".split("/")).read_text(encoding="utf-8")).substitute(values)


def rendered_tree(folder: str, values: Mapping[str, str]) -> dict[str, str]:
    """All templates of a folder by the path of the file that each becomes, as `schema/app.py`."""
    return {
        str(path.relative_to(folder)): rendered(str(path), values)
        for path in sorted(_paths(_ROOT / folder, PurePosixPath(folder)))
    }


def _paths(folder: Traversable, path: PurePosixPath) -> Iterator[PurePosixPath]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _paths(each, path / each.name)
        elif each.name.endswith(_SUFFIX):
            yield path / each.name.removesuffix(_SUFFIX)
