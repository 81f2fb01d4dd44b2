"""How a document is read: from files and URLs, as JSON and YAML, and what is refused."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bff.scaffold.names import ScaffoldError
from bff.scaffold.openapi import load as module
from bff.scaffold.openapi.load import load

SMALL = '{"openapi": "3.1.0", "paths": {}}'


@contextmanager
def serving(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server on loopback, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def from_file(folder: Path, content: str | bytes) -> dict[str, Any]:
    """The document in a file with that content."""
    file = folder / "api"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(str(file))


def test_json_from_a_file(tmp_path: Path) -> None:
    """Also with a byte order mark and spaces before it."""
    assert from_file(tmp_path, "\ufeff \n" + SMALL)["openapi"] == "3.1.0"


def test_json_from_a_url() -> None:
    """By one request for exactly that URL."""
    with serving(200, SMALL.encode()) as (url, asked):
        assert load(f"{url}/v2/api.json?a=b")["paths"] == {}
    assert asked == ["/v2/api.json?a=b"]


def test_redirects_are_not_followed() -> None:
    """The URL of the document is the one that was given."""
    refused = pytest.raises(ScaffoldError, match="expected status 200 from the URL, got 302")
    with serving(302, b"", {"location": "/other"}) as (url, asked), refused:
        load(url)
    assert asked == ["/"]


def test_a_compressed_reply_is_refused() -> None:
    """It could be of any size."""
    refused = pytest.raises(ScaffoldError, match="not compressed")
    with serving(200, b"x", {"content-encoding": "gzip"}) as (url, _), refused:
        load(url)


def test_a_url_that_takes_too_long() -> None:
    """The whole document has a time, however fast its pieces come."""
    times = iter((0.0, 31.0, 31.0))
    with serving(200, SMALL.encode()) as (url, _), pytest.raises(ScaffoldError, match="within 30 seconds"):
        load(url, clock=lambda: next(times))


@pytest.mark.parametrize("from_url", [True, False])
def test_a_document_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_url: bool) -> None:
    """Is not read to its end."""
    monkeypatch.setattr(module, "LARGEST_BYTES", 1024 * 1024)
    large = SMALL.encode() + b" " * 1024 * 1024
    with serving(200, large) as (url, _), pytest.raises(ScaffoldError, match="at most 1 MiB"):
        load(url) if from_url else from_file(tmp_path, large)


@pytest.mark.parametrize(
    "place",
    ["ftp://x.example/a", "file:///etc/passwd", "http://", "https://user:secret@x.example/", "http://[x", "gopher://a"],
)
def test_other_urls_are_refused(place: str) -> None:
    """Only http and https, and no passwords, which the message doesn't repeat."""
    with pytest.raises(ScaffoldError, match="expected a URL with http:// or https://") as refused:
        load(place)
    assert "secret" not in str(refused.value)


def test_a_url_that_nothing_answers() -> None:
    """Is one line."""
    with serving(200, b"") as (url, _):
        pass
    with pytest.raises(ScaffoldError, match=r"could not be read \(ConnectError\)"):
        load(url)


@pytest.mark.parametrize("place", ["missing.json", ".", "a\0b"])
def test_a_file_that_cannot_be_read(place: str) -> None:
    """Is named, with the reason."""
    with pytest.raises(ScaffoldError, match="expected a file that can be read, or a URL"):
        load(place)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"openapi": ', "expected JSON"),
        ('{"openapi": "3.0.0"} x', "expected JSON"),
        (b"\xff\xfe", "UTF-8"),
        ('{"swagger": "2.0"}', "got Swagger 2.0"),
        ('{"openapi": "2.0"}', "got 2.0"),
        ('{"openapi": "30.1"}', "got 30.1"),
        ('{"openapi": {"a": 1}}', "version 3.0 or 3.1"),
        ("{}", "version 3.0 or 3.1, got None"),
        ('{"a":' * 100_000, "nested less deeply"),
    ],
)
def test_what_is_no_document(tmp_path: Path, content: str | bytes, expected: str) -> None:
    """The message says what was expected and what came, on one line."""
    with pytest.raises(ScaffoldError, match=expected) as refused:
        from_file(tmp_path, content)
    assert str(refused.value).isprintable()


def describe_yaml() -> None:
    """Documents in YAML."""

    def it_is_read_as_yaml_1_2(tmp_path: Path) -> None:
        """Keys are text, `no` is no boolean, and a day is text."""
        text = "openapi: 3.0.3\npaths:\n  /a:\n    no: [yes, true, 2020-01-01, 1:30, 012, 1.5, ~, 0x1F]\n    200: on\n"
        found = from_file(tmp_path, text)
        assert found["openapi"] == "3.0.3"
        assert found["paths"]["/a"] == {"no": ["yes", True, "2020-01-01", "1:30", "012", 1.5, None, "0x1F"], "200": "on"}

    def an_alias_is_a_reference(tmp_path: Path) -> None:
        """So a document of a few lines doesn't take any memory."""
        levels = "".join(f"l{n + 1}: &l{n + 1} [{', '.join([f'*l{n}'] * 10)}]\n" for n in range(30))
        found = from_file(tmp_path, f"openapi: 3.0.3\nl0: &l0 [x]\n{levels}")
        assert found["l30"][0] is found["l30"][9]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("openapi: 3.0.3\na: &a {x: 1}\nb:\n  <<: *a\n", "in line 4: merge keys"),
            ("openapi: 3.0.3\n? [a]\n: b\n", "in line 2: expected keys of text"),
            ("openapi: 3.0.3\nx: !!python/object/apply:os.system [true]\n", "in line 2"),
            ("openapi: 3.0.3\nx: !!int abc\n", "expected YAML"),
            ("openapi: 3.0.3\nx: !!timestamp abc\n", "expected YAML"),
            ("a: b: c", "in line 1"),
            ("[" * 100_000, "expected"),
            ("- a", "expected an OpenAPI document"),
            ("", "expected an OpenAPI document"),
            ("plain text", "expected an OpenAPI document"),
        ],
    )
    def what_is_refused(tmp_path: Path, text: str, expected: str) -> None:
        """Tags, merge keys and what is no YAML: with the line."""
        with pytest.raises(ScaffoldError, match=expected) as refused:
            from_file(tmp_path, text)
        assert str(refused.value).isprintable()


def test_yaml_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to install it, and that JSON needs nothing."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ScaffoldError, match="pip install pyyaml; or give it as JSON"):
        from_file(tmp_path, "openapi: 3.0.3")
