"""The three services as ASGI applications that share their data."""

from starlette.types import ASGIApp

from bff import DemoOptions
from datasources.demo.data import DemoData
from datasources.demo.orders import orders_app
from datasources.demo.products import products_app
from datasources.demo.users import users_app


def services(options: DemoOptions, data: DemoData | None = None) -> dict[str, ASGIApp]:
    """The applications by source name: `users`, `orders`, `products`. They see each other's writes."""
    shared = data or DemoData()
    return {
        "users": users_app(shared, options),
        "orders": orders_app(shared, options),
        "products": products_app(shared, options),
    }
