"""HSTS (RFC 6797): tells browsers to use nothing but HTTPS for the gateway's host."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class StrictTransportSecurity:
    """Adds `Strict-Transport-Security` to every answer of an application that is served by HTTPS."""

    def __init__(self, app: ASGIApp, max_age_s: int, *, subdomains: bool) -> None:
        self._app = app
        value = f"max-age={max_age_s}" + ("; includeSubDomains" if subdomains else "")
        self._header = (b"strict-transport-security", value.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self._header]
            await send(message)

        await self._app(scope, receive, send_on)
