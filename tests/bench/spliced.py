"""The account page's three calls over a wire, spliced by hand: what the calls cost where there is no GraphQL at all.

An ASGI app that answers the benchmark's account page and nothing else. `WIRE` in the environment names the wire.
"""

import os
from typing import Any

import msgspec
import orjson

from bff.upstream.wire import Wire, WireOptions, WireRequest
from bff.upstream.wire.asyncio_wire import AsyncioWire
from bff.upstream.wire.httpx_wire import HttpxWire

WIRES: dict[str, type[AsyncioWire | HttpxWire]] = {"asyncio": AsyncioWire, "httpx": HttpxWire}
HEADERS = (("Accept", "application/json"), ("User-Agent", "bff"), ("X-Request-ID", "1"))
USERS, ORDERS, PRODUCTS = (os.environ[f"{name}_SERVICE_URL"] for name in ("USERS", "ORDERS", "PRODUCTS"))
MOST_BYTES = 10 * 1024 * 1024
decode = msgspec.json.decode
wires: dict[str, Wire] = {}


async def get(url: str) -> Any:
    """A service's JSON."""
    wire = wires.get("") or wires.setdefault("", WIRES[os.environ["WIRE"]](WireOptions()))
    return decode((await wire.send(WireRequest("GET", url, HEADERS), max_response_bytes=MOST_BYTES)).body)


async def account(id: str) -> dict[str, Any]:
    """The page of a user."""
    user = await get(f"{USERS}/users/{id}")
    orders = (await get(f"{ORDERS}/orders?userIds={id}&limit=10"))["items"]
    ids = dict.fromkeys(item["productId"] for order in orders for item in order["items"])
    found = (await get(f"{PRODUCTS}/products?ids={','.join(map(str, ids))}"))["items"]
    products = {each["id"]: {"id": str(each["id"]), "name": each["name"], "price": each["price"]} for each in found}
    return {
        "id": str(user["id"]),
        "name": user["name"],
        "email": user["email"],
        "orders": [
            {
                "id": str(order["id"]),
                "total": order["total"],
                "status": order["status"].upper(),
                "items": [
                    {
                        "quantity": item["quantity"],
                        "unitPrice": item["unitPrice"],
                        "product": products[item["productId"]],
                    }
                    for item in order["items"]
                ],
            }
            for order in orders
        ],
    }


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer `/ready`, and the account page to anything else."""
    if scope["path"] == "/ready":
        body = b"{}"
    else:
        request = decode((await receive())["body"])
        body = orjson.dumps({"data": {"user": await account(request["variables"]["id"])}})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
