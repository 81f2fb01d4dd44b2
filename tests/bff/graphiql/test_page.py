"""The page of a variant: what it holds, and what it lets a browser do."""

import json
import re

import pytest

from bff.graphiql.examples import Example
from bff.graphiql.page import ASSETS, DemoViewer, GraphiQLPage, page

_VARIANTS = ("web", "mobile", "admin")
_HOSTILE = '</script><!--<script>alert("1")</script>&\u2028$title'


def _config(of: GraphiQLPage) -> dict[str, object]:
    """The block of JSON as a browser reads it: up to the first end tag."""
    found = re.search(r'<script id="config" type="application/json">(.*?)</script>', of.body.decode(), re.DOTALL)
    assert found is not None
    config: dict[str, object] = json.loads(found[1])
    return config


def _policy(of: GraphiQLPage) -> dict[str, str]:
    """The content security policy, directive by directive."""
    (policy,) = [value.decode() for name, value in of.headers if name == b"content-security-policy"]
    return dict(directive.split(" ", 1) for directive in policy.split("; "))


def test_config_survives_hostile_text() -> None:
    """Whatever stands in an example reaches the script as it is and never ends its block or opens a comment."""
    example = Example(_HOSTILE, _HOSTILE, {_HOSTILE: _HOSTILE}, needs_token=True)
    rendered = page("web", _VARIANTS, [example])
    assert _config(rendered)["examples"] == [
        {"name": _HOSTILE, "query": _HOSTILE, "variables": {_HOSTILE: _HOSTILE}, "needs_token": True}
    ]
    assert b"alert(" not in rendered.body.replace(rb"alert(\"1\")", b"")
    assert b"<!--" not in rendered.body


def test_names_are_escaped() -> None:
    """A variant's name is text in the HTML and never markup."""
    assert b"<b>" not in page("<b>", ["<b>", '"'], []).body


@pytest.mark.parametrize("variant", _VARIANTS)
def test_variant_is_named_and_the_others_are_linked(variant: str) -> None:
    """The title says which graph this is; of the links to all three, this one is marked as the current."""
    html = page(variant, _VARIANTS, []).body.decode()
    assert f"<title>{variant.capitalize()} graph · GraphiQL</title>" in html
    assert re.findall(r'<a href="(/\w+/graphql)"', html) == [f"/{name}/graphql" for name in _VARIANTS]
    assert re.findall(r'<a href="(\S+)" aria-current="page">', html) == [f"/{variant}/graphql"]


def test_config_names_the_endpoint() -> None:
    """The script learns where to send operations, and whether only an administrator's are taken."""
    assert _config(page("admin", _VARIANTS, [], admin_only=True)) == {
        "variant": "admin",
        "endpoint": "/admin/graphql",
        "adminOnly": True,
        "examples": [],
        "viewers": [],
    }


def test_demo_viewers_are_part_of_the_config() -> None:
    """In order; without any there is no token in the page."""
    rendered = page("web", _VARIANTS, [], viewers=[DemoViewer("ann", "token-1"), DemoViewer(_HOSTILE, "token-2")])
    assert _config(rendered)["viewers"] == [{"name": "ann", "token": "token-1"}, {"name": _HOSTILE, "token": "token-2"}]
    assert "token-1" not in repr(DemoViewer("ann", "token-1"))


def test_policy() -> None:
    """A browser runs scripts of this gateway only, none of them inline, talks to it only and shows the page in no frame."""
    policy = _policy(page("web", _VARIANTS, []))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",
        "font-src": "data:",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_page_keeps_its_own_policy() -> None:
    """The HTML has no inline script that would run, no inline handler, and no address but paths of this gateway."""
    html = page("web", _VARIANTS, []).body.decode()
    scripts = re.findall(r"<script ([^>]*)>", html)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts)
    assert not re.search(r"\son\w+=", html)
    assert all(
        target.startswith("/") and not target.startswith("//") for target in re.findall(r'(?:src|href)="([^"]*)', html)
    )


def test_headers() -> None:
    """The page is revalidated, kept apart from the answers at the same URL, never framed and never sniffed."""
    rendered = page("web", _VARIANTS, [])
    headers = dict(rendered.headers)
    assert len(headers) == len(rendered.headers)
    assert headers[b"content-type"] == b"text/html; charset=utf-8"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert headers[b"x-frame-options"] == b"DENY"
    assert headers[b"cache-control"] == b"no-cache"
    assert headers[b"vary"] == b"Accept, Accept-Encoding"
    assert headers[b"content-length"] == str(len(rendered.body)).encode()


def test_every_file_is_there_in_its_version() -> None:
    """Each file that the page names exists, and its URL carries the version of what it holds now."""
    html = page("web", _VARIANTS, []).body.decode()
    named = re.findall(r'"/graphiql/([^"?]+)\?v=[0-9a-f]{16}"', html)
    assert len(named) == 7
    assert all((ASSETS.path / name).is_file() and f'"{ASSETS.url(name)}"' in html for name in named)
