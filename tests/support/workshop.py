"""The service of docs/your-own-services.md: an inventory with conventions of its own, and its users' key set."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

SERVICE_KEY = "inventory-secret"
_LARGEST_PAGE = 50


def uuid(kind: int, number: int) -> str:
    """An id."""
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


MAKERS: list[dict[str, Any]] = [
    {"id": uuid(1, number), "name": f"Maker {number}", "country": "JP" if number % 2 else "DE"} for number in range(1, 4)
]
PARTS: list[dict[str, Any]] = [
    {
        "id": uuid(2, number),
        "name": f"Part {number}",
        "maker_id": uuid(1, number % 3 + 1),
        "in_stock": number * 3,
        "cost_price": 1.5 * number,
    }
    for number in range(1, 8)
]


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)


class Workshop:
    """The service. `asked` has the target of each call."""

    def __init__(self, keys: Any) -> None:
        self.asked: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/jwks", lambda _: JSONResponse(keys)),
                Route("/v2/{kind}", self._page),
                Route("/v2/{kind}/{id}", self._one),
            ]
        )

    def _refusal(self, request: Request) -> JSONResponse | None:
        query = f"?{request.url.query}" if request.url.query else ""
        self.asked.append(f"{request.url.path}{query}")
        if request.headers.get("x-service-key") != SERVICE_KEY:
            return _error(401, "no_service_key", "The header X-Service-Key is missing.")
        return None

    async def _one(self, request: Request) -> JSONResponse:
        objects = {"makers": MAKERS, "parts": PARTS}.get(request.path_params["kind"], [])
        found = next((each for each in objects if each["id"] == request.path_params["id"]), None)
        answer = _error(404, "not_found", "There is no such object.") if found is None else JSONResponse({"data": found})
        return self._refusal(request) or answer

    async def _page(self, request: Request) -> JSONResponse:
        objects = {"makers": MAKERS, "parts": PARTS}.get(request.path_params["kind"], [])
        limit, offset = (int(request.query_params.get(name, "0")) for name in ("limit", "offset"))
        if limit > _LARGEST_PAGE:
            return self._refusal(request) or _error(400, "limit_too_large", f"At most {_LARGEST_PAGE}.")
        content = {"data": objects[offset : offset + limit], "meta": {"total": len(objects)}}
        return self._refusal(request) or JSONResponse(content)
