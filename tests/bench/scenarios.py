"""The scenarios: what is asked, by whom, and the answer that the demo data's formulas give.

A scenario is a list of requests which the load generator sends in turn. Expected answers are computed here from
`data`, never taken from a subject.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from tests.bench import data

VIEWERS = 50
ANY_CURSOR = "*"  # what `load.normalised` makes of every cursor: subjects are free in how they write them

TYPENAME = "{ __typename }"
ACCOUNT = (
    "query Account($id: ID!) { user(id: $id) { id name email orders(first: 10) { id total status "
    "items { quantity unitPrice product { id name price } } } } }"
)
CATALOGUE = "{ products(first: 100) { totalCount edges { cursor node { id name price currency inStock category } } } }"
ORDERS = "{ orders(first: 100) { nodes { id total status createdAt user { id name email tier } } } }"


@dataclass(frozen=True, slots=True)
class Request:
    """One GraphQL request: its JSON body, the bearer token, and the `data` that must come back."""

    body: dict[str, Any]
    token: str | None
    expected: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table. `requests` makes its requests, given the secret that tokens are signed with."""

    name: str
    title: str
    path: str
    requests: Callable[[str], list[Request]]


def token(secret: str, subject: str, *roles: str) -> str:
    """A token for `subject`, HS256, good for three hours: longer than any run."""
    claims = {"sub": subject, "roles": list(roles), "exp": int(time.time()) + 3 * 3600}
    return jwt.encode(claims, secret, algorithm="HS256")


def _typename(_secret: str) -> list[Request]:
    return [Request({"query": TYPENAME}, None, {"__typename": "Query"})]


def _account(secret: str) -> list[Request]:
    return [
        Request(
            {"query": ACCOUNT, "variables": {"id": str(i)}, "operationName": "Account"},
            token(secret, str(i)),
            {"user": _account_of(i)},
        )
        for i in range(1, VIEWERS + 1)
    ]


def _account_of(i: int) -> dict[str, Any]:
    user = data.user(i)
    newest = sorted((o for o in range(1, data.ORDERS + 1) if (o - 1) % 1000 + 1 == i), reverse=True)[:10]
    return {
        "id": str(i),
        "name": user["name"],
        "email": user["email"],
        "orders": [_account_order(data.order(o)) for o in newest],
    }


def _account_order(order: data.Record) -> dict[str, Any]:
    items = []
    for item in order["items"]:
        product = data.product(item["productId"])
        shown = {"id": str(product["id"]), "name": product["name"], "price": product["price"]}
        items.append({"quantity": item["quantity"], "unitPrice": item["unitPrice"], "product": shown})
    return {"id": str(order["id"]), "total": order["total"], "status": order["status"].upper(), "items": items}


def _catalogue(_secret: str) -> list[Request]:
    edges = []
    for product in map(data.product, range(1, 101)):
        node = {"id": str(product["id"])} | {name: product[name] for name in ("name", "price", "currency")}
        node |= {"inStock": product["stock"] > 0, "category": product["category"]}
        edges.append({"cursor": ANY_CURSOR, "node": node})
    return [Request({"query": CATALOGUE}, None, {"products": {"totalCount": data.PRODUCTS, "edges": edges}})]


def _orders(secret: str) -> list[Request]:
    nodes = []
    for order in map(data.order, range(data.ORDERS, data.ORDERS - 100, -1)):
        user = data.user(order["userId"])
        owner = {"id": str(user["id"]), "name": user["name"], "email": user["email"], "tier": user["tier"].upper()}
        head = {"id": str(order["id"]), "total": order["total"], "status": order["status"].upper()}
        nodes.append(head | {"createdAt": order["createdAt"], "user": owner})
    return [Request({"query": ORDERS}, token(secret, "1", "admin"), {"orders": {"nodes": nodes}})]


SCENARIOS = (
    Scenario("typename", "`{ __typename }`", "/web/graphql", _typename),
    Scenario("account", "account page: user, 10 orders, items, products", "/web/graphql", _account),
    Scenario("catalogue", "catalogue: 100 products", "/web/graphql", _catalogue),
    Scenario("orders", "100 orders with their users", "/admin/graphql", _orders),
)
