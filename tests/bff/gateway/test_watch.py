"""The files that the settings come from are watched, and a change reloads the settings."""

from pathlib import Path

import pytest

from bff.gateway.watch import SETTLE_S, FileWatch
from bff.settings import Settings, load
from schema.app import app as shop_app


class Stop(Exception):
    """Ends the watch."""


async def reloads_after(settings: Settings, *changes: object) -> list[int]:
    """How often the settings were reloaded after each change. A change is a function; None changes nothing."""
    left = list(changes)
    counted: list[int] = []
    reloads = 0

    async def reload() -> None:
        nonlocal reloads
        reloads += 1

    async def sleep(seconds: float) -> None:
        if seconds == SETTLE_S:
            return
        counted.append(reloads)
        if not left:
            raise Stop
        change = left.pop(0)
        if callable(change):
            change()

    with pytest.raises(Stop):
        await FileWatch(lambda: settings, reload, sleep).run()
    return counted[1:]


def written(path: Path, text: str) -> Path:
    """The file with that text."""
    path.write_text(text)
    return path


async def test_a_change_of_the_file_reloads_once(tmp_path: Path) -> None:
    """Nothing else does. A file that is replaced counts as changed, and so does one that is gone."""
    file = written(tmp_path / "bff.toml", "port = 1\n")
    settings = load(shop_app, {}, file=file)
    changes = (
        None,
        lambda: file.write_text("port = 22\n"),
        None,
        lambda: written(tmp_path / "n", "port = 33\n").replace(file),
    )
    assert await reloads_after(settings, *changes, file.unlink, None) == [0, 1, 1, 2, 3, 3]


async def test_manifests_are_watched(tmp_path: Path) -> None:
    """Files, and folders of them: a new file in a folder counts."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    single = written(tmp_path / "app.json", "{}")
    settings = load(shop_app, {"BFF_VARIANTS__WEB__MANIFESTS": f"{single},{folder}"}, default_file=None)
    changes = (lambda: single.write_text('{"a": ""}'), lambda: written(folder / "b.json", "{}"), None)
    assert await reloads_after(settings, *changes) == [1, 2, 2]


async def test_without_files_there_is_nothing_to_watch() -> None:
    """Settings that come from the environment alone."""
    assert await reloads_after(load(shop_app, {}, default_file=None), None, None) == [0, 0]


async def test_a_file_that_is_being_written_is_read_when_it_is_complete(tmp_path: Path) -> None:
    """Half of it could be valid settings in which nobody has a key."""
    file = written(tmp_path / "bff.toml", "port = 1\n")
    settings = load(shop_app, {}, file=file)
    parts = ["", "port = 22\n", "port = 22\nworkers = 2\n"]
    read: list[str] = []
    turns = 0

    async def reload() -> None:
        read.append(file.read_text())

    async def sleep(_: float) -> None:
        nonlocal turns
        turns += 1
        if parts:
            file.write_text(parts.pop(0))
        elif turns > 10:
            raise Stop

    with pytest.raises(Stop):
        await FileWatch(lambda: settings, reload, sleep).run()
    assert read == ["port = 22\nworkers = 2\n"]
