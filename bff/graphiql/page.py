"""A variant's GraphiQL page: HTML and headers, rendered once at start-up.

The page has no inline script. It has tokens only of demo viewers, whose secret is known to everybody, and no other secret.
Its script reads its configuration from a block of JSON. The content security policy allows requests to this gateway only, so
that not even an image in a description can contact another server.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from string import Template

from bff.graphiql.examples import Example
from bff.server.static import Folder

ASSETS = Folder("/graphiql", Path(__file__).with_name("assets"))
_TEMPLATE = Path(__file__).with_name("page.html")

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # GraphiQL's dialogs and menus add <style> elements to the page.
        "style-src 'self' 'unsafe-inline'",
        "font-src data:",  # GraphiQL's fonts are in its stylesheet
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-cache"),
    (b"vary", b"Accept, Accept-Encoding"),
)


@dataclass(frozen=True, slots=True)
class GraphiQLPage:
    """One variant's page, ready to send: status 200, these headers, this body."""

    body: bytes
    headers: list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class DemoViewer:
    """A viewer to try the graph as: a label for people, and a token that is no secret."""

    name: str
    token: str = field(repr=False)


def page(
    variant: str,
    variants: Sequence[str],
    examples: Sequence[Example],
    *,
    admin_only: bool = False,
    viewers: Sequence[DemoViewer] = (),
) -> GraphiQLPage:
    """Render the page of `variant`.

    Args:
        variant: the name of the graph; it is served at `/{variant}/graphql`.
        variants: all variants, in the order of the links between them.
        examples: the operations offered. The first is in the editor on the first visit.
        admin_only: whether the gateway refuses every request without an administrator's token. The page then asks for one.
        viewers: those that a click signs in. The page begins as the first. Their tokens are part of the page, so everybody
            who can open it gets them.
    """
    config = {
        "variant": variant,
        "endpoint": _endpoint(variant),
        "adminOnly": admin_only,
        "examples": [asdict(example) for example in examples],
        "viewers": [asdict(viewer) for viewer in viewers],
    }
    html = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(variant.capitalize()),
        endpoint=escape(_endpoint(variant)),
        placeholder="paste an administrator's token" if admin_only else "paste a token, or stay anonymous",
        links="\n".join(_link(name, is_current=name == variant) for name in variants),
        config=_json_in_html(config),
        icon=ASSETS.url("icon.svg"),
        graphiql_css=ASSETS.url("graphiql.min.css"),
        page_css=ASSETS.url("page.css"),
        react_js=ASSETS.url("react.production.min.js"),
        react_dom_js=ASSETS.url("react-dom.production.min.js"),
        graphiql_js=ASSETS.url("graphiql.min.js"),
        page_js=ASSETS.url("page.js"),
    )
    body = html.encode()
    return GraphiQLPage(body, [*_HEADERS, (b"content-length", str(len(body)).encode())])


def _endpoint(variant: str) -> str:
    return f"/{variant}/graphql"


def _link(variant: str, *, is_current: bool) -> str:
    current = ' aria-current="page"' if is_current else ""
    return f'<a href="{escape(_endpoint(variant))}"{current}>{escape(variant.capitalize())}</a>'


def _json_in_html(value: object) -> str:
    """JSON without characters that end an HTML script element or start a comment. Non-ASCII characters are escaped too."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
