"""Writes files and insertions. All of it is worked out before the first file is written; no file is overwritten.

What is added to an existing file is inserted at a place found in its syntax tree. If the file does not have the expected
shape, it stays as it is, and the lines are among those to add by hand.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bff.scaffold import edits
from bff.scaffold.names import ScaffoldError

APP = "schema/app.py"
"""The file that every application has."""

Edit = Callable[[str], str]
"""From a file's text to its new text. Raises `edits.NoPlace`."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """Lines that could not be inserted: the file, what was looked for in it, and the lines."""

    file: str
    expected: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What was done. Paths are relative to the application's folder.

    Attributes:
        created: new files.
        edited: files with an insertion.
        by_hand: what is left to a person.
        sdl: what went wrong when the SDL was exported; None if it is up to date, or if the graph still lacks lines.
    """

    created: tuple[str, ...]
    edited: tuple[str, ...] = ()
    by_hand: tuple[ByHand, ...] = ()
    sdl: str | None = None


@dataclass(frozen=True, slots=True)
class Insertion:
    """One insertion into a file, and the lines that a person would add in its place."""

    file: str
    edit: Edit
    lines: tuple[str, ...]


def create(folder: Path, files: Mapping[str, str]) -> None:
    """Write new files, by their paths in the folder. Raises `FileExistsError`, `OSError`."""
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)


def add(folder: Path, files: Mapping[str, str], insertions: Sequence[Insertion], by_hand: Sequence[ByHand] = ()) -> Written:
    """Write new files and insertions; `by_hand` has further lines that are left to a person.

    Raises:
        ScaffoldError: a file is there already. Nothing was written.
        OSError: a file can't be read or written.
    """
    if taken := [file for file in files if (folder / file).exists()]:
        raise ScaffoldError(f"{', '.join(taken)}: here already, and nothing is overwritten")
    texts: dict[str, str] = {}
    missing: list[ByHand] = []
    for each in insertions:
        text = text_of(folder / each.file)
        if text is None:
            missing.append(ByHand(each.file, "a file of that name in UTF-8", each.lines))
            continue
        try:
            edited = each.edit(text)
            edits.check(edited)
            texts[each.file] = edited
        except edits.NoPlace as error:
            missing.append(ByHand(each.file, str(error), each.lines))
    create(folder, files)
    for file, text in texts.items():
        (folder / file).write_bytes(text.encode())
    # While lines of the graph are missing, its SDL is that of before.
    is_whole = not any(each.file.startswith("schema/") for each in missing)
    return Written(tuple(files), tuple(texts), (*missing, *by_hand), export_sdl(folder) if is_whole else None)


def export_sdl(folder: Path) -> str | None:
    """Write the SDL of the application in `folder`, in a process of its own. Returns what went wrong, else None."""
    command = [sys.executable, "-m", "bff", "schema", "export", "--write", "--app", "schema.app:app"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    return None if done.returncode == 0 else done.stderr.strip()


def check_is_app(folder: Path) -> None:
    """Raises `ScaffoldError` for a folder without an application."""
    if not (folder / APP).is_file():
        raise ScaffoldError(f"expected an application in this folder, with {APP}: {folder}")


def text_of(file: Path) -> str | None:
    """A file's text with its own line endings; None if there is none, or if it is not UTF-8."""
    try:
        return file.read_bytes().decode()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def binds(file: Path, name: str) -> bool:
    """Whether a module has a name; False for a file that is not there or not Python."""
    text = text_of(file)
    try:
        return text is not None and edits.binds(text, name)
    except edits.NoPlace:
        return False


def class_has(file: Path, name: str, member: str) -> bool:
    """Whether a class of a module has a member; False for a file that is not there or not Python."""
    text = text_of(file)
    try:
        return text is not None and edits.class_has(text, name, member)
    except edits.NoPlace:
        return False
