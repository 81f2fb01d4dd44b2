"""The public face is typed: an application that uses all of it passes mypy --strict, and what is wrong does not."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bff
from tests.typing import public_face

FILE = Path(__file__).with_name("public_face.py")
ROOT = Path(__file__).parents[2]


def mypy(file: Path) -> str:
    """What mypy --strict says of a file, with none of this project's own settings."""
    options = ["--strict", "--config-file=", "--explicit-package-bases", "--no-error-summary", "--cache-dir"]
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(ROOT / ".mypy_cache" / "public_face"), str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_every_public_name_is_used() -> None:
    """A name that is added to `bff.__all__` has to be used in the file, beside its import."""
    used = {node.id for node in ast.walk(ast.parse(FILE.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)}
    assert set(bff.__all__) <= used


def test_every_public_name_exists() -> None:
    """And none is listed twice or out of order."""
    assert bff.__all__ == sorted(set(bff.__all__))
    assert all(hasattr(bff, name) for name in bff.__all__)


def test_the_package_says_that_it_is_typed() -> None:
    """Without the marker mypy ignores an installed package's types (PEP 561)."""
    assert Path(bff.__file__).with_name("py.typed").is_file()


def test_an_application_is_well_typed() -> None:
    """Mypy --strict has nothing to say of one that uses every name."""
    assert mypy(FILE) == ""


def test_the_application_is_one() -> None:
    """It doesn't only look like an application: its variants have schemas."""
    assert set(public_face.app.schemas) == {"outside", "inside"}
    assert "builtAt" not in public_face.app.schemas["outside"].type_map["Hive"].fields  # type: ignore[attr-defined]
    assert set(public_face.app.demo_services(bff.DemoOptions())) == {"keepers", "hives"}


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("App(\n    query=Query,", "App(\n    queries=Query,", 'Unexpected keyword argument "queries" for "App"'),
        ('Variant("outside")', 'Variant("outside", rôle="x")', 'Unexpected keyword argument "rôle"'),
        (
            "read=Hives.of_keeper, desc",
            "read=Hives.page, desc",
            'Argument "read" to "many" has incompatible type "CursorPages"',
        ),
        ("read=Keepers.by_id, key", "read=Hives.of_keeper, key", 'Argument "read" to "one" has incompatible type "ListBy"'),
        ("return found.frames\n", "return found.frame\n", '"HiveRecord" has no attribute "frame"'),
        ("it.frames > 0", "it.frame > 0", '"HiveRecord" has no attribute "frame"'),
        ("Access(role=", "Access(roles=", 'Unexpected keyword argument "roles" for "Access"'),
        ("context.signed_in().sub", "context.viewer.sub", 'has no attribute "sub"'),
        ("context.sources[Hives].change", "context.sources[Keepers].change", '"Keepers" has no attribute "change"'),
        (", key=key, id=id, is_it", ", id=id, is_it", 'Missing named argument "key" for "write"'),
    ],
)
def test_a_mistake_is_found(tmp_path: Path, right: str, wrong: str, complaint: str) -> None:
    """Each of these is a line that an editor marks."""
    text = FILE.read_text(encoding="utf-8")
    assert right in text
    file = tmp_path / "mistaken.py"
    file.write_text(text.replace(right, wrong), encoding="utf-8")
    assert complaint in mypy(file)
