"""Files with odd names in a folder that `bff dev --reload` watches."""

import os
from pathlib import Path

import pytest

from bff.server.reloader import FileWatch, listed


@pytest.mark.parametrize(
    "name", [b"\xff.py", b"a\nb.py", b"\x1b[2J.py", "\N{RIGHT-TO-LEFT OVERRIDE}x.py".encode()], ids=repr
)
def test_a_file_with_an_odd_name_is_shown(tmp_path: Path, name: bytes) -> None:
    """A name need not be UTF-8, and may have what a terminal takes for commands. The parent process goes on."""
    watch = FileWatch(tmp_path)
    (tmp_path / os.fsdecode(name)).write_text("")
    shown = listed(watch.changed())
    assert shown.encode()
    assert shown.isprintable()
    assert shown.endswith(".py")


def test_a_usual_name_is_shown_as_it_is() -> None:
    """Three of them, and the number of the others."""
    assert listed(["a.py", "sub/größe.py"]) == "a.py, sub/größe.py"
    assert listed(["a.py", "b.py", "c.py", "d.py"]) == "a.py, b.py, c.py and 1 more"


def test_links_that_lead_to_themselves_end(tmp_path: Path) -> None:
    """Of files and of folders."""
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    (tmp_path / "up").symlink_to(tmp_path, target_is_directory=True)
    watch = FileWatch(tmp_path)
    (tmp_path / "real.py").write_text("")
    assert watch.changed() == ["real.py"]
    assert not watch.is_partial
