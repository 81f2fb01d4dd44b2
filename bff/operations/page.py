"""The page that shows the OpenAPI document: FastAPI's Swagger UI, with its files from this package and a strict CSP."""

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
    """The page. The content security policy allows its only inline script, by its hash."""
    response = get_swagger_ui_html(
        openapi_url=DOCUMENT_PATH,
        title="bff",
        swagger_js_url=ASSETS.url("swagger-ui.min.js"),
        swagger_css_url=ASSETS.url("swagger-ui.min.css"),
        swagger_favicon_url=SHARED.url("icon.svg"),
        # By default, the page sends the document's URL to a public validator.
        swagger_ui_parameters={"validatorUrl": None},
    )
    scripts = _SCRIPT.findall(bytes(response.body).decode())
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]
    policy = (
        "default-src 'none'",
        f"script-src 'self' {' '.join(hashes)}",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI sets styles inline
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    response.headers["content-security-policy"] = "; ".join(policy)
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["referrer-policy"] = "no-referrer"
    response.headers["x-frame-options"] = "DENY"
    response.headers["cache-control"] = "no-cache"
    return response
