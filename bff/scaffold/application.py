"""A new application: a folder with one source, two variants, a demo service and tests."""

from pathlib import Path

from bff.runtime.version import VERSION
from bff.scaffold.files import Written, create, export_sdl
from bff.scaffold.names import ScaffoldError, check_app_name
from bff.scaffold.render import rendered_tree


def new_app(parent: Path, name: str) -> Written:
    """Write a new application into the folder `name` of `parent`.

    Raises:
        ScaffoldError: the name is not valid, or there is something of that name that is not an empty folder.
        OSError: the folder or a file can't be written.
    """
    check_app_name(name)
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScaffoldError(f"{name}: expected a name that is not taken, but it is here already and not an empty folder")
    files = rendered_tree("app", {"name": name, "bff_version": _compatible(VERSION)})
    create(folder, files)
    return Written(tuple(files), sdl=export_sdl(folder))


def _compatible(version: str) -> str:
    """The versions that an application written now runs with: `>=0.1.0,<0.2`."""
    major, minor, *_ = version.split(".")
    return f">={version},<{f'0.{int(minor) + 1}' if major == '0' else int(major) + 1}"
