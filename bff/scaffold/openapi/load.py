"""Reads an OpenAPI document from a file or a URL: JSON or YAML, of limited size, within a limited time."""

import re
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from bff.scaffold.names import ScaffoldError
from bff.scaffold.openapi.words import shown

LARGEST_BYTES = 20 * 1024 * 1024
_TIMEOUT_S = 30.0
_STEP_TIMEOUT_S = 10.0
_VERSION = re.compile(r"3\.[01](\.|\Z)")
_MERGE = "tag:yaml.org,2002:merge"
_SCALARS = {
    "tag:yaml.org,2002:null": (re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    "tag:yaml.org,2002:int": (re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z"), list("-+0123456789")),
    "tag:yaml.org,2002:float": (re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}\Z"), list("-+0123456789")),
}
"""Plain scalars of YAML 1.2 (section 10.3.2). By YAML 1.1 a member `no` would be False, and a day a date."""


def load(place: str, *, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """The document at a path or an `http(s)` URL. Raises `ScaffoldError`."""
    raw = _fetched(place, clock) if "://" in place else _read(place)
    if len(raw) > LARGEST_BYTES:
        raise ScaffoldError(f"--openapi: expected a document of at most {LARGEST_BYTES // 1024**2} MiB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ScaffoldError("--openapi: expected a document in UTF-8") from None
    found = _from_json(text) if text.lstrip()[:1] == "{" else _from_yaml(text)
    if not isinstance(found, dict):
        raise ScaffoldError("--openapi: expected an OpenAPI document: an object with the member openapi")
    if "swagger" in found:
        raise ScaffoldError(
            f"--openapi: expected OpenAPI 3.0 or 3.1, got Swagger {shown(found['swagger'])}: convert it first"
        )
    version = found.get("openapi")
    if not _VERSION.match(str(version)):
        raise ScaffoldError(f"--openapi: expected the member openapi with a version 3.0 or 3.1, got {shown(version)}")
    return found


def _read(place: str) -> bytes:
    try:
        with Path(place).open("rb") as file:
            return file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ScaffoldError(f"--openapi: expected a file that can be read, or a URL: {shown(place)}: {reason}") from None


def _fetched(url: str, clock: Callable[[], float]) -> bytes:
    """The body at a URL. Redirects are not followed: the URL is the one that was given."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ScaffoldError("--openapi: expected a URL with http:// or https:// and without a password")
    until = clock() + _TIMEOUT_S
    headers = {"accept": "application/json, application/yaml;q=0.9, */*;q=0.1", "accept-encoding": "identity"}
    body = bytearray()
    try:
        with httpx.stream("GET", url, headers=headers, timeout=_STEP_TIMEOUT_S, follow_redirects=False) as reply:
            if reply.status_code != 200:
                raise ScaffoldError(f"--openapi: expected status 200 from the URL, got {reply.status_code}")
            if reply.headers.get("content-encoding", "identity") != "identity":
                raise ScaffoldError("--openapi: expected a reply that is not compressed")
            for chunk in reply.iter_raw():
                body += chunk
                if len(body) > LARGEST_BYTES:
                    break
                if clock() > until:
                    raise ScaffoldError(f"--openapi: expected the whole document within {_TIMEOUT_S:g} seconds")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ScaffoldError(f"--openapi: the URL could not be read ({type(error).__name__})") from None
    return bytes(body)


def _from_json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise ScaffoldError("--openapi: expected a document that is nested less deeply") from None
    except msgspec.MsgspecError as error:
        # A mapping of YAML in braces is rare, and the message about JSON is the one that helps.
        raise ScaffoldError(f"--openapi: expected JSON: {shown(error)}") from None


def _from_yaml(text: str) -> Any:
    try:
        yaml: Any = import_module("yaml")
    except ImportError:
        raise ScaffoldError("--openapi: a document in YAML needs PyYAML: pip install pyyaml; or give it as JSON") from None
    try:
        return yaml.load(text, _loader(yaml))  # a subclass of the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "it can't be read"
        raise ScaffoldError(f"--openapi: expected YAML{where}: {shown(problem)}") from None
    except RecursionError:
        raise ScaffoldError("--openapi: expected a document that is nested less deeply") from None
    except (ValueError, TypeError, AttributeError):
        raise ScaffoldError("--openapi: expected YAML: a value can't be read") from None


def _loader(yaml: Any) -> Any:
    """A safe loader whose keys are text, with the scalars of YAML 1.2, and without merge keys.

    Merge keys (`<<`) copy what they name, so a few lines of them can take any memory. An alias alone is a reference.
    """
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc] # PyYAML is optional
        yaml_implicit_resolvers: Any = {}  # noqa: RUF012 - as PyYAML has it

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
            """A mapping by the texts of its keys: `200:` and `no:` are what is written."""
            pairs = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(None, None, "expected keys of text", key.start_mark)
                if key.tag == _MERGE or key.value == "<<":
                    raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", key.start_mark)
                pairs[key.value] = self.construct_object(value, deep=deep)
            return pairs

    for tag, (pattern, first) in _SCALARS.items():
        Loader.add_implicit_resolver(tag, pattern, first)
    return Loader
