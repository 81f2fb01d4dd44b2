"""The documents name modules, folders and members that exist."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_OTHER_TREES = {"upgrading.md", "recipes.md"}
"""Pages that name modules that are gone, or that a recipe adds. The changelog and the records of decisions do so too."""

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md") if page.name not in _OTHER_TREES),
]
_NO_MODULES = {"bff.toml", "bff.audit", "__init__.py"}
"""Names that look like a module's: a file, a logger, a file of every folder."""


def missing_from_tree(text: str, root: Path) -> list[str]:
    """The names of a page's trees of folders that don't exist below `root`.

    A tree is a block of code without a language. A line's names end with `/` or `.py`; those of files may also stand in its
    description. A deeper line is inside the folder above it.
    """
    missing = []
    for language, block in re.findall(r"^```(\S*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if language:
            continue
        folders: list[tuple[int, Path]] = []
        for line in filter(str.strip, block.splitlines()):
            indent = len(line) - len(line.lstrip())
            folders = [(depth, folder) for depth, folder in folders if depth < indent]
            parent = folders[-1][1] if folders else root
            first = line.split()[0]
            if first.endswith("/"):
                folders.append((indent, parent / first))
                names = [first, *re.findall(r"\w+\.py", line)]
                inside = parent / first
                missing += [name for name in names[1:] if not (inside / name).is_file()]
                missing += [] if inside.is_dir() else [first]
            else:
                missing += [name for name in re.findall(r"\w+\.py", line) if not (parent / name).is_file()]
    return missing


def missing_from_text(text: str, root: Path) -> list[str]:
    """The paths and dotted names in a page's code spans that don't exist below `root`."""
    missing = []
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
        if span in _NO_MODULES:
            continue
        if re.fullmatch(r"(bff|schema|datasources|tests|docs)/[\w/.]*|\w+\.(py|md|toml)", span):
            missing += [] if (root / span).exists() else [span]
        elif re.fullmatch(r"(bff|schema|datasources|tests)(\.\w+)+", span):
            missing += [] if is_importable(span) else [span]
    return missing


def is_importable(name: str) -> bool:
    """Whether a dotted name is a module, or a member of one."""
    try:
        import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return bool(module) and is_importable(module) and hasattr(import_module(module), member)
    return True


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_names_exists(page: str) -> None:
    """A moved module breaks them silently."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert missing_from_tree(text, ROOT) + missing_from_text(text, ROOT) == []


def test_a_missing_module_is_found(tmp_path: Path) -> None:
    """In a tree: a file, a folder, a file in a description. In the text: a path, a module, a member."""
    (tmp_path / "bff" / "engine").mkdir(parents=True)
    (tmp_path / "bff" / "engine" / "plan.py").touch()
    tree = "```\nbff/\n  engine/   gone.py is here\n    plan.py no.py\n    deeper/\n  app.py   at the top\n```\n"
    assert missing_from_tree(tree, tmp_path) == ["gone.py", "no.py", "deeper/", "app.py"]
    text = "`bff/engine/plan.py` `bff/engine/` `bff/none.py` `bff.app.App` `bff.app.No` `bff.none` `bff.toml` `gone.py`"
    assert missing_from_text(text, tmp_path) == ["bff/none.py", "bff.app.No", "bff.none", "gone.py"]
