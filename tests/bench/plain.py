"""The plain stack to compare with: Strawberry, FastAPI and httpx put together as their documentation shows.

Competent, and no more: one shared client, a DataLoader for each kind of object and request, tokens verified by PyJWT,
nothing cached between requests. It answers the benchmark's scenarios just as the gateway does.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, NewType, Self

import httpx
import jwt
import strawberry
from fastapi import FastAPI, HTTPException, Request
from graphql import GraphQLError
from strawberry.dataloader import DataLoader
from strawberry.fastapi import BaseContext, GraphQLRouter
from strawberry.schema.config import StrawberryConfig

USERS_URL, ORDERS_URL, PRODUCTS_URL = (os.environ[f"{name}_SERVICE_URL"] for name in ("USERS", "ORDERS", "PRODUCTS"))
JWT_SECRET = os.environ["JWT_SECRET"]
JSON = dict[str, Any]
DateTime = NewType("DateTime", str)  # the services' text is the graph's text


@strawberry.enum
class Tier(Enum):
    FREE = "free"
    PLUS = "plus"
    PRO = "pro"


@strawberry.enum
class OrderStatus(Enum):
    PENDING = "pending"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class Context(BaseContext):
    """What the resolvers of one request share: who asks, and the loaders."""

    def __init__(self, http: httpx.AsyncClient, authorization: str | None) -> None:
        super().__init__()
        claims = _claims(authorization)
        self.viewer: str | None = claims.get("sub")
        self.is_admin = "admin" in claims.get("roles", ())
        self._http = http
        self._identity = {"Authorization": authorization, "X-User-ID": str(self.viewer)} if authorization else {}
        self.users: DataLoader[str, User | None] = DataLoader(self._load_users)
        self.products: DataLoader[str, Product | None] = DataLoader(self._load_products)
        self.orders: DataLoader[tuple[str, int], list[Order]] = DataLoader(self._load_orders)

    async def get(self, url: str, params: dict[str, str | int], headers: dict[str, str] | None = None) -> JSON:
        """One call to a service."""
        response = await self._http.get(url, params=params, headers=headers)
        answer: JSON = response.raise_for_status().json()
        return answer

    async def _load_users(self, ids: list[str]) -> "list[User | None]":
        answer = await self.get(f"{USERS_URL}/users", {"ids": ",".join(ids)}, self._identity)
        found = {str(user["id"]): User.of(user) for user in answer["items"]}
        return [found.get(key) for key in ids]

    async def _load_products(self, ids: list[str]) -> "list[Product | None]":
        answer = await self.get(f"{PRODUCTS_URL}/products", {"ids": ",".join(ids)})
        found = {str(product["id"]): Product.of(product) for product in answer["items"]}
        return [found.get(key) for key in ids]

    async def _load_orders(self, keys: list[tuple[str, int]]) -> "list[list[Order]]":
        found: dict[tuple[str, int], list[Order]] = {key: [] for key in keys}
        for limit in {limit for _, limit in keys}:
            users = ",".join(user for user, asked in keys if asked == limit)
            query: dict[str, str | int] = {"userIds": users, "limit": limit}
            answer = await self.get(f"{ORDERS_URL}/orders", query, self._identity)
            for order in answer["items"]:
                found[str(order["userId"]), limit].append(Order.of(order))
        return [found[key] for key in keys]

    async def newest_orders(self, first: int) -> "list[Order]":
        """The first page of all orders."""
        answer = await self.get(f"{ORDERS_URL}/orders", {"limit": first}, self._identity)
        return [Order.of(order) for order in answer["items"]]


Info = strawberry.Info[Context, None]


@strawberry.type
class Product:
    id: strawberry.ID
    name: str
    price: float
    currency: str
    in_stock: bool
    description: str
    category: str

    @classmethod
    def of(cls, raw: JSON) -> Self:
        return cls(
            id=strawberry.ID(str(raw["id"])),
            name=raw["name"],
            price=raw["price"],
            currency=raw["currency"],
            in_stock=raw["stock"] > 0,
            description=raw["description"],
            category=raw["category"],
        )


@strawberry.type
class OrderItem:
    quantity: int
    unit_price: float
    product_id: strawberry.Private[str]

    @classmethod
    def of(cls, raw: JSON) -> Self:
        return cls(quantity=raw["quantity"], unit_price=raw["unitPrice"], product_id=str(raw["productId"]))

    @strawberry.field
    async def product(self, info: Info) -> Product | None:
        return await info.context.products.load(self.product_id)


@strawberry.type
class Order:
    id: strawberry.ID
    total: float
    currency: str
    status: OrderStatus
    created_at: DateTime
    items: list[OrderItem]
    user_id: strawberry.Private[str]

    @classmethod
    def of(cls, raw: JSON) -> Self:
        return cls(
            id=strawberry.ID(str(raw["id"])),
            total=raw["total"],
            currency=raw["currency"],
            status=OrderStatus(raw["status"]),
            created_at=raw["createdAt"],
            items=[OrderItem.of(item) for item in raw["items"]],
            user_id=str(raw["userId"]),
        )

    @strawberry.field
    async def user(self, info: Info) -> "User | None":
        return await info.context.users.load(self.user_id)


@strawberry.type
class User:
    id: strawberry.ID
    name: str | None
    email: str
    tier: Tier
    created_at: DateTime

    @classmethod
    def of(cls, raw: JSON) -> Self:
        return cls(
            id=strawberry.ID(str(raw["id"])),
            name=raw["name"],
            email=raw["email"],
            tier=Tier(raw["tier"]),
            created_at=raw["createdAt"],
        )

    @strawberry.field
    async def orders(self, info: Info, first: int = 20) -> list[Order] | None:
        return await info.context.orders.load((self.id, first))


@strawberry.type
class ProductEdge:
    cursor: str
    node: Product


@strawberry.type
class ProductConnection:
    total_count: int
    edges: list[ProductEdge]


@strawberry.type
class OrderConnection:
    nodes: list[Order]


@strawberry.type(name="Query")
class WebQuery:
    @strawberry.field
    async def user(self, info: Info, id: strawberry.ID) -> User | None:
        context = info.context
        if not context.is_admin and context.viewer != id:
            code = "FORBIDDEN" if context.viewer else "UNAUTHENTICATED"
            raise GraphQLError("This user may not be read.", extensions={"code": code})
        return await context.users.load(id)

    @strawberry.field
    async def products(self, info: Info, first: int = 20) -> ProductConnection | None:
        answer = await info.context.get(f"{PRODUCTS_URL}/products", {"limit": first})
        edges = [ProductEdge(cursor=str(at), node=Product.of(raw)) for at, raw in enumerate(answer["items"])]
        return ProductConnection(total_count=answer["total"], edges=edges)


@strawberry.type(name="Query")
class AdminQuery(WebQuery):
    @strawberry.field
    async def orders(self, info: Info, first: int = 20) -> OrderConnection | None:
        return OrderConnection(nodes=await info.context.newest_orders(first))


def _claims(authorization: str | None) -> JSON:
    if authorization is None:
        return {}
    try:
        token = authorization.removeprefix("Bearer ")
        return jwt.decode(token, JWT_SECRET, ["HS256"], options={"require": ["exp"]}, leeway=10)
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "The token is not valid.") from error


async def web_context(request: Request) -> Context:
    """Anyone may ask; a bad token is refused."""
    return Context(request.app.state.http, request.headers.get("authorization"))


async def admin_context(request: Request) -> Context:
    """Only administrators may ask."""
    context = Context(request.app.state.http, request.headers.get("authorization"))
    if not context.is_admin:
        raise HTTPException(403 if context.viewer else 401, "An administrator's token is needed.")
    return context


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one HTTP client for the whole process."""
    async with httpx.AsyncClient() as app.state.http:
        yield


CONFIG = StrawberryConfig(scalar_map={DateTime: strawberry.scalar(name="DateTime")})
app = FastAPI(lifespan=lifespan)
app.include_router(
    GraphQLRouter(strawberry.Schema(WebQuery, config=CONFIG), context_getter=web_context), prefix="/web/graphql"
)
app.include_router(
    GraphQLRouter(strawberry.Schema(AdminQuery, config=CONFIG), context_getter=admin_context), prefix="/admin/graphql"
)


@app.get("/ready")
async def ready() -> JSON:
    """Requests are served."""
    return {"status": "ready"}
