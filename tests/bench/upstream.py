"""The three REST services for the benchmark: one process, a port for each, answers made once and kept as bytes.

Reads only, by the services' contract: objects, `ids=`, `userIds=`, pages with cursors and filters, `ETag` and 304,
problem documents. It counts the calls to each resource: `GET /__calls` tells, `POST /__calls` sets them to nought.
It takes no writes, checks no identity, and bounds what it keeps.

Prints `{"users": port, "orders": port, "products": port}` on one line when it listens.
"""

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import uvloop

from tests.bench import data

RESOURCES = ("users", "orders", "products")
CACHE_CONTROL = {
    "users": "private, no-cache",
    "orders": "private, no-cache",
    "products": "public, max-age=30, stale-if-error=300",
}
KEPT_REPLIES = 50_000
MOST_IDS = 200
REASONS = {200: "OK", 304: "Not Modified", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


class ProblemError(Exception):
    """A request that is answered with a problem document."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer ready to be written: whole, and as 304 for who has it already."""

    resource: str | None
    etag: bytes
    whole: bytes
    not_modified: bytes


class Services:
    """The data of the three services, and the reply to each target."""

    def __init__(self, *, no_store: bool = False) -> None:
        self._cache_control = dict.fromkeys(RESOURCES, "no-store") if no_store else CACHE_CONTROL
        self._records: dict[str, dict[int, data.Record]] = {
            "users": {i: data.user(i) for i in range(1, data.USERS + 1)},
            "orders": {o: data.order(o) for o in range(data.ORDERS, 0, -1)},
            "products": {p: data.product(p) for p in range(1, data.PRODUCTS + 1)},
        }
        self._orders_of: dict[int, list[data.Record]] = {}
        for order in self._records["orders"].values():
            self._orders_of.setdefault(order["userId"], []).append(order)
        self._replies: dict[bytes, Reply] = {}
        self.calls = dict.fromkeys(RESOURCES, 0)

    def reply(self, target: bytes) -> Reply:
        """The reply to a `GET` of `target`; counts the call."""
        reply = self._replies.get(target)
        if reply is None:
            reply = self._make(target.decode("latin-1"))
            if len(self._replies) < KEPT_REPLIES:
                self._replies[target] = reply
        if reply.resource is not None:
            self.calls[reply.resource] += 1
        return reply

    def _make(self, target: str) -> Reply:
        url = urlsplit(target)
        first, _, last = url.path.strip("/").partition("/")
        resource = first if first in RESOURCES else None
        try:
            query = dict(parse_qsl(url.query, keep_blank_values=True))
            body = {"status": "ok"} if url.path == "/health" else self._body(resource, last, query)
        except ProblemError as problem:
            return Reply(resource, b"", _problem(problem.status, str(problem)), b"")
        content = _json(body)
        etag = f'"{blake2b(content, digest_size=8).hexdigest()}"'
        cache_control = self._cache_control[resource] if resource else "no-store"
        headers = f"ETag: {etag}\r\nCache-Control: {cache_control}\r\n"
        return Reply(resource, etag.encode(), _message(200, content, headers), _message(304, b"", headers))

    def _body(self, resource: str | None, last: str, query: dict[str, str]) -> Any:
        if resource is None:
            raise ProblemError(404, "No such resource.")
        records = self._records[resource]
        if last:
            if not last.isdecimal() or int(last) not in records:
                raise ProblemError(404, "No such object.")
            return records[int(last)]
        if "ids" in query:
            return {"items": [records[i] for i in _ids(query["ids"]) if i in records]}
        if resource == "orders" and "userIds" in query:
            return {"items": self._of_users(query)}
        return _page([record for record in records.values() if _wanted(resource, record, query)], query)

    def _of_users(self, query: dict[str, str]) -> list[data.Record]:
        limit = _limit(query)
        found: list[data.Record] = []
        for i in _ids(query["userIds"]):
            found += [o for o in self._orders_of.get(i, ()) if _wanted("orders", o, query)][:limit]
        return found


def _wanted(resource: str, record: data.Record, query: dict[str, str]) -> bool:
    if resource == "orders":
        return "status" not in query or bool(query["status"] == record["status"])
    if resource == "products":
        named = query.get("search", "").lower() in record["name"].lower()
        return named and ("category" not in query or bool(query["category"] == record["category"]))
    return True


def _page(records: list[data.Record], query: dict[str, str]) -> dict[str, Any]:
    limit = _limit(query)
    start = 0
    if cursor := query.get("cursor"):
        start = next((at + 1 for at, record in enumerate(records) if f"after-{record['id']}" == cursor), -1)
        if start < 0:
            raise ProblemError(400, "The cursor is not one of this list.")
    items = records[start : start + limit]
    more = start + limit < len(records)
    return {"items": items, "nextCursor": f"after-{items[-1]['id']}" if more else None, "total": len(records)}


def _ids(text: str) -> list[int]:
    parts = [part for part in text.split(",") if part]
    if len(parts) > MOST_IDS or not all(part.isdecimal() for part in parts):
        raise ProblemError(400, f"At most {MOST_IDS} ids, each a whole number, with commas between them.")
    return list(dict.fromkeys(map(int, parts)))


def _limit(query: dict[str, str]) -> int:
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= 200:
        raise ProblemError(400, f"The limit is 1 to 200, not {limit}.")
    return int(limit)


def _json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _message(status: int, content: bytes, headers: str = "", media_type: str = "application/json") -> bytes:
    length = "" if status == 304 else f"Content-Type: {media_type}\r\nContent-Length: {len(content)}\r\n"
    return f"HTTP/1.1 {status} {REASONS[status]}\r\n{length}{headers}\r\n".encode() + content


def _problem(status: int, detail: str) -> bytes:
    body = {"type": "about:blank", "title": REASONS[status], "status": status, "detail": detail}
    return _message(status, _json(body), media_type="application/problem+json")


def _header(head: bytes, name: bytes) -> bytes:
    """The value of a header, `name` in lower case; empty if it is not there."""
    at = head.lower().find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    start = at + len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None].strip()


class Connection(asyncio.Protocol):
    """One client's connection: HTTP/1.1 with keep-alive; answers in the order asked, after `latency_s`."""

    def __init__(self, services: Services, latency_s: float) -> None:
        self._services = services
        self._latency_s = latency_s
        self._buffer = b""
        self._write: Callable[[bytes], None] = lambda _data: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._write = cast("asyncio.Transport", transport).write  # uvloop's own, no subclass

    def data_received(self, chunk: bytes) -> None:
        """Answer each request that is complete."""
        buffer = self._buffer + chunk if self._buffer else chunk
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            method, target, rest = buffer[:end].split(b" ", 2)
            until = end + 4
            if method != b"GET":
                until += int(_header(rest, b"content-length") or 0)
                if len(buffer) < until:
                    break
            message = self._answer(method, target, rest)
            buffer = buffer[until:]
            if self._latency_s:
                asyncio.get_running_loop().call_later(self._latency_s, self._write, message)
            else:
                self._write(message)
        self._buffer = buffer

    def _answer(self, method: bytes, target: bytes, rest: bytes) -> bytes:
        services = self._services
        if target == b"/__calls":
            if method == b"POST":
                services.calls = dict.fromkeys(RESOURCES, 0)
            return _message(200, _json(services.calls))
        if method != b"GET":
            return _problem(405, "The benchmark's services take no writes.")
        reply = services.reply(target)
        if reply.etag and b"none-match" in rest.lower():
            held = _header(rest, b"if-none-match")
            if held == b"*" or reply.etag in held:
                return reply.not_modified
        return reply.whole


async def serve(port: int, *, no_store: bool, latency_s: float) -> None:
    """Serve users, orders and products on `port` and the two after it, or on any three ports if `port` is 0."""
    services = Services(no_store=no_store)
    gc.freeze()
    loop = asyncio.get_running_loop()
    ports = {}
    for number, name in enumerate(RESOURCES):
        server = await loop.create_server(
            lambda: Connection(services, latency_s), "127.0.0.1", port + number if port else 0, backlog=1024
        )
        ports[name] = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    """The command: `python -m tests.bench.upstream`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the first of three ports; 0: any free ones")
    parser.add_argument("--no-store", action="store_true", help="Cache-Control: no-store on every answer")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait so long before each answer")
    options = parser.parse_args()
    uvloop.run(serve(options.port, no_store=options.no_store, latency_s=options.latency_ms / 1000))


if __name__ == "__main__":
    main()
