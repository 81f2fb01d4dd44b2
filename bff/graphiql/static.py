"""The files that the GraphiQL page refers to, served from the package itself under `/graphiql/`.

A URL that carries a file's own version may be kept for a year, since another content has another version; any other
URL is asked about again each time. Nothing outside the folder is ever served: Starlette sees to that.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PREFIX = "/graphiql"
FOLDER = Path(__file__).with_name("assets")

# Stated, not guessed: `mimetypes` asks the machine, and with `nosniff` a script of the wrong type does not run.
_MEDIA_TYPES: Mapping[str, str] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def version(name: str) -> str:
    """The version of the file `name` of the folder: the start of its SHA-256 in hex."""
    return sha256((FOLDER / name).read_bytes()).hexdigest()[:16]


def url(name: str) -> str:
    """The URL path under which the file `name` may be kept for as long as a client likes."""
    return f"{PREFIX}/{quote(name)}?v={version(name)}"


class Assets(StaticFiles):
    """An ASGI app for the folder, to be mounted at `PREFIX`. It reads the files' versions once, when it is made."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)
        self._queries = {path.name: f"v={version(path.name)}".encode() for path in FOLDER.iterdir() if path.is_file()}

    def __repr__(self) -> str:
        return f"<Assets {len(self._queries)} files>"

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer as Starlette does (ETag, ranges, 304, 404), with our media types and caching."""
        response = await super().get_response(path, scope)
        # While a new gateway replaces an old one, the old may be asked for the new one's version: not to be kept.
        is_current = scope["query_string"] == self._queries.get(path)
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if is_current else "no-cache"
        response.headers["x-content-type-options"] = "nosniff"
        if "content-type" in response.headers:  # a 304 has none
            response.headers["content-type"] = _MEDIA_TYPES.get(Path(path).suffix, "text/plain; charset=utf-8")
        return response
