"""One REST resource over a list of objects: by id, by owner, in pages, and writes that are done once for each key."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bff import DemoOptions

_MOST = 200


def _problem(status: int, title: str, errors: Sequence[Mapping[str, str]] = ()) -> JSONResponse:
    """A problem document (RFC 9457)."""
    body = {"title": title, "status": status, "errors": list(errors)}
    return JSONResponse(body, status, media_type="application/problem+json")


class Resource:
    """A service with one resource.

    Attributes:
        path: of the resource.
        objects: what it has, in their order.
        owners: parameters with the ids of owners, and the member that each compares.
        texts: members that are searched for a part of them; any other parameter must be equal to its member.
        cache_control: of answers.
        write: makes an object of a POST's body and the `X-User-ID`, or says what is wrong with it; None for read only.
    """

    def __init__(
        self,
        path: str,
        objects: list[dict[str, Any]],
        options: DemoOptions,
        *,
        owners: Mapping[str, str] | None = None,
        texts: Sequence[str] = (),
        cache_control: str = "max-age=5, stale-if-error=60",
        write: Callable[[dict[str, Any], str], dict[str, Any] | list[dict[str, str]]] | None = None,
    ) -> None:
        self.path = path
        self.objects = objects
        self._owners = owners or {}
        self._texts = texts
        self._write = write
        self._latency_s = options.latency_s
        self._headers = {"cache-control": "no-store" if options.no_store else cache_control}
        self._done: dict[str, tuple[Any, dict[str, Any]]] = {}

    def app(self) -> Starlette:
        """The service as an ASGI application."""
        methods = ["GET"] if self._write is None else ["GET", "POST"]
        routes = [Route(self.path, self._all, methods=methods), Route(f"{self.path}/{{id:path}}", self._one)]
        return Starlette(routes=[*routes, Route("/health", lambda _: JSONResponse({"status": "ok"}))])

    async def _one(self, request: Request) -> JSONResponse:
        await asyncio.sleep(self._latency_s)
        found = next((each for each in self.objects if each["id"] == request.path_params["id"]), None)
        return _problem(404, "Not Found") if found is None else JSONResponse(found, headers=self._headers)

    async def _all(self, request: Request) -> JSONResponse:
        await asyncio.sleep(self._latency_s)
        if request.method == "POST":
            return self._post(await request.body(), request.headers)
        query = dict(request.query_params)
        if "ids" in query:
            wanted = set(query["ids"].split(","))
            return self._items([each for each in self.objects if each["id"] in wanted])
        for parameter, member in self._owners.items():
            if parameter in query:
                return self._items(self._of_owners(member, query[parameter].split(","), int(query["limit"])))
        return self._page(query)

    def _items(self, items: list[dict[str, Any]]) -> JSONResponse:
        return JSONResponse({"items": items}, headers=self._headers)

    def _of_owners(self, member: str, owners: Sequence[str], limit: int) -> list[dict[str, Any]]:
        return [each for owner in owners for each in [found for found in self.objects if found[member] == owner][:limit]]

    def _page(self, query: dict[str, str]) -> JSONResponse:
        limit, cursor = int(query.pop("limit", "20")), query.pop("cursor", "0")
        if not cursor.isdigit() or not 1 <= limit <= _MOST:
            return _problem(400, "Bad Request")
        matching = [each for each in self.objects if all(self._matches(each, *pair) for pair in query.items())]
        end = int(cursor) + limit
        next_cursor = str(end) if end < len(matching) else None
        body = {"items": matching[int(cursor) : end], "nextCursor": next_cursor, "total": len(matching)}
        return JSONResponse(body, headers=self._headers)

    def _matches(self, found: dict[str, Any], member: str, text: str) -> bool:
        return text.lower() in found[member].lower() if member in self._texts else str(found[member]) == text

    def _post(self, raw: bytes, headers: Mapping[str, str]) -> JSONResponse:
        assert self._write is not None
        body, key = json.loads(raw), headers.get("idempotency-key", "")
        done = self._done.get(key)
        if done is not None:
            return _problem(409, "Conflict") if done[0] != body else JSONResponse(done[1], 201)
        made = self._write(body, headers["x-user-id"])
        if isinstance(made, list):
            return _problem(422, "Unprocessable", made)
        self._done[key] = (body, made)
        self.objects.insert(0, made)
        return JSONResponse(made, 201)


def reviews_of(reviews: list[dict[str, Any]], books: set[str], options: DemoOptions) -> Resource:
    """The reviews service. A new review is `r-100` and so on, and not published."""

    def write(body: dict[str, Any], writer: str) -> dict[str, Any] | list[dict[str, str]]:
        errors = []
        if body["bookId"] not in books:
            errors.append({"field": "bookId", "message": "There is no such book."})
        if not 1 <= body["stars"] <= 5:
            errors.append({"field": "stars", "message": "Expected 1 to 5 stars."})
        return errors or {**body, "id": f"r-{100 + len(reviews)}", "writerId": writer, "published": False}

    owners = {"bookIds": "bookId", "writerIds": "writerId"}
    return Resource("/reviews", reviews, options, owners=owners, cache_control="private, no-cache", write=write)
