"""Adds the endpoints that are no variant: health, metrics, the OpenAPI page."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as HTTPResponse

from bff.gateway.endpoints import ServedVariant
from bff.gateway.mode import Mode
from bff.observe.metrics import CONTENT_TYPE, Metrics
from bff.operations.page import ASSETS, DOCUMENT_PATH, PATH, page
from bff.server.host import Gateway
from bff.server.static import Assets
from bff.upstream.traffic.stack import Stack


def add_operations(gateway: Gateway, stacks: Mapping[str, Stack], metrics: Metrics) -> None:
    """Add the endpoints for operators and monitoring: `/health`, `/ready`, `/metrics`.

    If operators have a port of their own, the other has neither metrics nor the state of the sources.
    """

    async def health(_: Any) -> HTTPResponse:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> HTTPResponse:
        status = "draining" if gateway.leaving else "ready" if gateway.started else "starting"
        content: dict[str, Any] = {"status": status}
        if gateway.is_for_operators(request.scope):
            content["sources"] = {name: {"breaker": stack.status().breaker.value} for name, stack in stacks.items()}
        return JSONResponse(content, status_code=200 if status == "ready" else 503)

    async def metrics_(request: Request) -> HTTPResponse:
        if not gateway.is_for_operators(request.scope):
            return _nothing_here()
        return HTTPResponse(metrics.text(), headers={"content-type": CONTENT_TYPE.decode()})

    routes: dict[str, Callable[[Any], Any]] = {"/health": health, "/ready": ready, "/metrics": metrics_}
    for path, answer in routes.items():
        gateway.add_route(path, answer, methods=["GET"], include_in_schema=False)


def add_openapi(gateway: Gateway, mode: Mode, variants: Callable[[], Mapping[str, ServedVariant]]) -> None:
    """Add the OpenAPI page and document of the trusted operations, for the variants with `openapi` on.

    `variants` returns those that are served. Where none has `openapi` on, there is neither.
    """

    def shown(request: Request) -> tuple[ServedVariant, ...]:
        here = gateway.served_on(request.scope).endpoints
        return tuple(
            each
            for name, each in variants().items()
            if name in here and (mode == "dev" if (is_on := each.options.openapi) is None else is_on)
        )

    made: dict[tuple[ServedVariant, ...], dict[str, Any]] = {}

    def document(
        request: Request,
    ) -> HTTPResponse:  # not a coroutine, so it runs in a thread: it reads every trusted document
        now = shown(request)
        if not now:
            return _nothing_here()
        if now not in made:
            from bff.operations import openapi  # noqa: PLC0415 - loaded only if a variant shows it

            made.clear()
            made[now] = openapi.document((each.endpoint.variant, each.endpoint.schema, each.operations) for each in now)
        return JSONResponse(made[now], headers={"cache-control": "no-cache", "x-content-type-options": "nosniff"})

    shown_page = page()

    def rest_page(request: Request) -> HTTPResponse:
        return shown_page if shown(request) else _nothing_here()

    gateway.add_route(DOCUMENT_PATH, document, methods=["GET"], include_in_schema=False)
    gateway.add_route(PATH, rest_page, methods=["GET"], include_in_schema=False)
    gateway.mount(ASSETS.prefix, Assets(ASSETS), name="openapi")


def _nothing_here() -> HTTPResponse:
    return JSONResponse({"detail": "Not Found"}, status_code=404)
