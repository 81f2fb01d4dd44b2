"""CORS for the variants that allow other origins."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.server.host import Gateway
from bff.settings import Settings


def with_cors(gateway: Gateway, settings: Settings) -> ASGIApp:
    """The gateway with CORS for each variant that allows other origins; the gateway itself if no variant does."""
    by_variant: dict[str, ASGIApp] = {}
    for name in gateway.served.endpoints:
        own = settings.variant(name).cors
        origins = (settings.cors if own is None else own).origins
        if origins:
            by_variant[name] = CORSMiddleware(
                gateway,
                allow_origins=list(origins),
                allow_methods=["GET", "POST"],
                allow_headers=[
                    "authorization",
                    "content-type",
                    "if-none-match",
                    "traceparent",
                    "x-api-key",
                    "x-request-id",
                    "x-request-timeout-ms",
                ],
                expose_headers=["etag", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"],
                max_age=600,
            )
    if not by_variant:
        return gateway

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["path"][1:].partition("/")[0] if scope["type"] == "http" else ""
        await by_variant.get(first, gateway)(scope, receive, send)

    return answer
