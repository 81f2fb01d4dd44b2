"""The library's data behind a service of other conventions than the demo's, and the key set of its identity provider.

UUIDs, no request for several objects, pages by offset, `{"data": …}`, `{"error": {…}}`, snake case, an API key.
"""

import re
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

API_KEY = "of the gateway"


def snake_case(found: Mapping[str, Any]) -> dict[str, Any]:
    """An object with its names in snake case."""
    return {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value for name, value in found.items()}


def error(status: int, code: str, *details: tuple[str, str]) -> JSONResponse:
    """An error as this service has it."""
    found = [{"field": field, "message": message} for field, message in details]
    return JSONResponse({"error": {"code": code, "message": "It can't be done.", "details": found}}, status)


class Library:
    """The service. `asked` has each call's method and target; `users` and `authorizations` who it was made for."""

    def __init__(
        self, authors: list[dict[str, Any]], books: list[dict[str, Any]], reviews: list[dict[str, Any]], keys: Any
    ) -> None:
        self.objects = {
            name: [snake_case(each) for each in found]
            for name, found in (("authors", authors), ("books", books), ("reviews", reviews))
        }
        self.keys = keys
        self.asked: list[str] = []
        self.users: list[str | None] = []
        self.authorizations: list[str | None] = []
        self.app = Starlette(
            routes=[
                Route("/jwks", lambda _: JSONResponse(self.keys)),
                Route("/v2/authors/{id}/books", self._of_author),
                Route("/v2/reviews", self._write, methods=["POST"]),
                Route("/v2/{kind}", self._list),
                Route("/v2/{kind}/{id:path}", self._one),
            ]
        )

    def _is_known(self, request: Request) -> bool:
        query = f"?{request.url.query}" if request.url.query else ""
        self.asked.append(f"{request.method} {request.url.path}{query}")
        self.users.append(request.headers.get("x-user-id"))
        self.authorizations.append(request.headers.get("authorization"))
        return request.headers.get("x-service-key") == API_KEY

    async def _one(self, request: Request) -> JSONResponse:
        if not self._is_known(request):
            return error(401, "no_key")
        objects = self.objects[request.path_params["kind"]]
        found = next((each for each in objects if each["id"] == request.path_params["id"]), None)
        return error(410, "gone") if found is None else JSONResponse({"data": found})

    async def _of_author(self, request: Request) -> JSONResponse:
        if not self._is_known(request):
            return error(401, "no_key")
        author = request.path_params["id"]
        found = [
            {name: value for name, value in each.items() if name != "author_id"}
            for each in self.objects["books"]
            if each["author_id"] == author
        ]
        return JSONResponse({"data": found[: int(request.query_params["limit"])]})

    async def _list(self, request: Request) -> JSONResponse:
        if not self._is_known(request):
            return error(401, "no_key")
        query = dict(request.query_params)
        limit, offset = int(query.pop("limit")), int(query.pop("offset", "0"))
        if limit > 20 and "book" not in query and "writer" not in query:
            return error(400, "too_many", ("limit", "20 at most"))
        names = {"book": "book_id", "writer": "writer_id"}
        found = [
            each
            for each in self.objects[request.path_params["kind"]]
            if all(
                text.lower() in each[name].lower() if name == "title" else str(each[names.get(name, name)]) == text
                for name, text in query.items()
            )
        ]
        return JSONResponse({"data": found[offset : offset + limit], "meta": {"total": len(found)}})

    async def _write(self, request: Request) -> Response:
        if not self._is_known(request):
            return error(401, "no_key")
        body = await request.json()
        if not request.headers.get("x-request-token"):
            return error(400, "no_token")
        if not 1 <= body["stars"] <= 5:
            return error(400, "invalid", ("stars", "1 to 5"))
        made = {**body, "id": "r 99", "writer_id": request.headers["x-user-id"], "published": False}
        self.objects["reviews"].insert(0, made)
        return Response(status_code=201, headers={"location": "/v2/reviews/r%2099"})
