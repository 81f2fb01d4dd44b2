"""FastAPI's page for an OpenAPI document, with the files that it refers to from the package itself, and a tight policy."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse

from bff.graphiql.page import ASSETS as SHARED
from bff.server.static import Folder

ASSETS = Folder("/docs/assets", Path(__file__).with_name("assets"))
PATH = "/docs"
DOCUMENT_PATH = "/openapi.json"

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def page() -> HTMLResponse:
    """The page. Its one inline script is let through by its hash."""
    answer = get_swagger_ui_html(
        openapi_url=DOCUMENT_PATH,
        title="bff",
        swagger_js_url=ASSETS.url("swagger-ui.min.js"),
        swagger_css_url=ASSETS.url("swagger-ui.min.css"),
        swagger_favicon_url=SHARED.url("icon.svg"),
        # Whether the document is well-formed is nobody else's business.
        swagger_ui_parameters={"validatorUrl": None},
    )
    scripts = _SCRIPT.findall(bytes(answer.body).decode())
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]
    policy = (
        "default-src 'none'",
        f"script-src 'self' {' '.join(hashes)}",
        "style-src 'self' 'unsafe-inline'",  # the page sets styles of its own
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    answer.headers["content-security-policy"] = "; ".join(policy)
    answer.headers["x-content-type-options"] = "nosniff"
    answer.headers["referrer-policy"] = "no-referrer"
    answer.headers["x-frame-options"] = "DENY"
    answer.headers["cache-control"] = "no-cache"
    return answer
