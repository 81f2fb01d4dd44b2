"""Static files of our pages, served from the package itself.

Clients may cache a URL with a file's version for a year, since other content has another version. They must revalidate any
other URL each time. Starlette guarantees that no file outside the folder is served.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# Not guessed: `mimetypes` depends on the machine, and with `nosniff` a browser doesn't run a script of the wrong type.
_MEDIA_TYPES: Mapping[str, str] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of files, and the prefix of their URLs."""

    prefix: str
    path: Path

    def version(self, name: str) -> str:
        """The version of the file `name` of the folder: the start of its SHA-256 in hex."""
        return sha256((self.path / name).read_bytes()).hexdigest()[:16]

    def url(self, name: str) -> str:
        """The URL path of the current version of the file `name`, which clients may cache."""
        return f"{self.prefix}/{quote(name)}?v={self.version(name)}"


class Assets(StaticFiles):
    """An ASGI app for a folder, to be mounted at the folder's prefix. It reads the files' versions once, when it is made."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(directory=folder.path)
        names = [path.name for path in folder.path.iterdir() if path.is_file()]
        self._queries = {name: f"v={folder.version(name)}".encode() for name in names}

    def __repr__(self) -> str:
        return f"<Assets {len(self._queries)} files>"

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer as Starlette does (ETag, ranges, 304, 404), with our media types and caching."""
        response = await super().get_response(path, scope)
        # During an upgrade an old gateway may get the URL of a new version: its answer must not be cached.
        is_current = scope["query_string"] == self._queries.get(path)
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if is_current else "no-cache"
        response.headers["x-content-type-options"] = "nosniff"
        if "content-type" in response.headers:  # a 304 has none
            response.headers["content-type"] = _MEDIA_TYPES.get(Path(path).suffix, "text/plain; charset=utf-8")
        return response
