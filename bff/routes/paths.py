"""Paths of requests: which are refused, which route they belong to, and what the service gets of them. No I/O.

The path that is checked must be the one that the service sees. Servers disagree on dot segments, empty segments, encoded
slashes, backslashes and parameters after `;` (RFC 3986, sections 3.3 and 6.2), so a path with one of these is refused. Other
encoded characters are decoded for the match only: the service gets them as they came.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

_UNSAFE = re.compile(rb"[^!-~]|[\\;#?]|//|%(?![0-9A-Fa-f]{2})|%(?:[01][0-9A-Fa-f]|2[Ff]|3[Bb]|5[Cc]|7[Ff])")
"""Bytes that no path has, what servers read differently, and encoded control characters, `/`, `;` and `\\`."""
_DOTS = frozenset({b".", b".."})


class UnsafePath(ValueError):
    """A path that servers may read differently."""


def segments_of(path: bytes) -> tuple[bytes, ...]:
    """The decoded segments of a path as it was sent; the last one is empty if it ends with a slash. Raises `UnsafePath`."""
    if not path.startswith(b"/") or _UNSAFE.search(path):
        raise UnsafePath
    segments = path[1:].split(b"/")
    if b"%" in path:
        segments = [unquote_to_bytes(each) for each in segments]
    if not _DOTS.isdisjoint(segments):
        raise UnsafePath
    return tuple(segments) if path != b"/" else ()


def prefix_of(path: str) -> tuple[bytes, ...]:
    """The segments of a route's path. Raises `ValueError` if it can't be one."""
    try:
        segments = segments_of(path.encode("ascii"))
    except ValueError:
        segments = (b"",)
    if "%" in path or b"" in segments:
        raise ValueError("expected a path such as /api/v1/users: with a slash in front, none at the end, and no %, ; or //")
    return segments


def rewritten(path: bytes, prefix: Sequence[bytes], rewrite: str | None) -> str:
    """The path for the service: with `rewrite` in place of the route's prefix, and the rest as it came. None: unchanged."""
    if rewrite is None:
        return path.decode("ascii")
    # Decoding keeps the number of segments, since encoded slashes are refused.
    rest = path.split(b"/", len(prefix) + 1)[len(prefix) + 1 :]
    tail = f"/{rest[0].decode('ascii')}" if rest and (rest[0] or path != b"/") else ""
    return f"{rewrite.rstrip('/')}{tail}" or "/"


def public(path: str, route: str, rewrite: str | None) -> str | None:
    """The gateway's path for a path of the service, with query and fragment; None if no path of the route leads there."""
    inside = route if rewrite is None else rewrite
    base = inside.rstrip("/")
    rest = path[len(base) :]
    if not path.startswith(base) or (rest and rest[0] not in "/?#"):
        return None
    return f"{route.rstrip('/')}{rest}" or "/"
