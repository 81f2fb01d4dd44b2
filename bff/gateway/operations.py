"""Adds the endpoints that are no variant: health, metrics, the OpenAPI page."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.responses import Response as HTTPResponse

from bff.gateway.mode import Mode
from bff.graph.sources import Sources
from bff.observe.metrics import CONTENT_TYPE, Metrics
from bff.operations.calls import TrustedOperations
from bff.server.host import Gateway
from bff.server.static import Assets
from bff.settings import Settings


def add_operations(gateway: Gateway, sources: Sources, metrics: Metrics) -> None:
    """Add the endpoints for operators and monitoring: `/health`, `/ready`, `/metrics`."""

    async def health(_: Any) -> HTTPResponse:
        return JSONResponse({"status": "ok"})

    async def ready(_: Any) -> HTTPResponse:
        status = "draining" if gateway.leaving else "ready" if gateway.started else "starting"
        states = {source.name: {"breaker": source.status().breaker.value} for source in sources}
        return JSONResponse({"status": status, "sources": states}, status_code=200 if status == "ready" else 503)

    async def metrics_(_: Any) -> HTTPResponse:
        return HTTPResponse(metrics.text(), headers={"content-type": CONTENT_TYPE.decode()})

    routes: dict[str, Callable[[Any], Any]] = {"/health": health, "/ready": ready, "/metrics": metrics_}
    for path, answer in routes.items():
        gateway.add_route(path, answer, methods=["GET"], include_in_schema=False)


def add_openapi(gateway: Gateway, settings: Settings, mode: Mode, operations: Mapping[str, TrustedOperations]) -> None:
    """Add the OpenAPI page and document of the trusted operations, for the variants with `openapi` on."""
    shown = [name for name in operations if (mode == "dev" if (is_on := settings.variant(name).openapi) is None else is_on)]
    if not shown:
        return
    from bff.operations import openapi  # noqa: PLC0415 - loaded only if a variant shows it
    from bff.operations import page as rest_page  # noqa: PLC0415

    answer = rest_page.page()
    made: list[dict[str, Any]] = []

    def document(_: Any) -> HTTPResponse:  # not a coroutine, so it runs in a thread: it reads every trusted document
        if not made:
            endpoints = [gateway.endpoints[name] for name in shown]
            made.append(openapi.document((each.variant, each.schema, operations[each.variant.name]) for each in endpoints))
        return JSONResponse(made[0], headers={"cache-control": "no-cache", "x-content-type-options": "nosniff"})

    gateway.add_route(rest_page.DOCUMENT_PATH, document, methods=["GET"], include_in_schema=False)
    gateway.add_route(rest_page.PATH, lambda _: answer, methods=["GET"], include_in_schema=False)
    gateway.mount(rest_page.ASSETS.prefix, Assets(rest_page.ASSETS), name="openapi")
