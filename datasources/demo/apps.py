"""The three services as ASGI apps on one set of data."""

from starlette.types import ASGIApp

from datasources.demo.data import DemoData
from datasources.demo.options import DEFAULT_OPTIONS, DemoOptions
from datasources.demo.orders import orders_app
from datasources.demo.products import products_app
from datasources.demo.users import users_app


def demo_apps(data: DemoData | None = None, options: DemoOptions = DEFAULT_OPTIONS) -> dict[str, ASGIApp]:
    """The apps by name: `users`, `orders`, `products`. They see each other's writes."""
    shared = data or DemoData()
    return {
        "users": users_app(shared, options),
        "orders": orders_app(shared, options),
        "products": products_app(shared, options),
    }
