"""The products service."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response

from bff import DemoOptions
from datasources.demo.data import DemoData, money
from datasources.demo.pages import found, one, page, parse_ids, several
from datasources.demo.problems import checked_changes, checked_name, is_integer
from datasources.demo.rest import Call, Methods, answer, service

PUBLIC: Final = "public, max-age=30, stale-if-error=300"

# Far above any real price, and low enough that the total of the largest order is exact as a double.
MAX_PRICE: Final = 10**8
MAX_STOCK: Final = 2**31 - 1


def products_app(data: DemoData, options: DemoOptions) -> Starlette:
    """The ASGI application of the products service."""
    products = _Products(data)
    return service(
        {
            "/products": Methods(get=products.list),
            "/products/{id}": Methods(get=products.one, patch=products.change),
        },
        PUBLIC,
        options,
    )


class _Products:
    """The handlers of products."""

    def __init__(self, data: DemoData) -> None:
        self._data = data
        self._products = data.products

    def list(self, call: Call) -> bytes:
        """The products with the given ids, or a page of the matching ones."""
        ids = call.query.get("ids")
        if ids is not None:
            return several(self._products, parse_ids("ids", ids))
        return page(self._products, self._matching(call.query), call.query)

    def one(self, call: Call) -> bytes:
        """One product."""
        return one(self._products, call.id)

    def change(self, call: Call) -> Response:
        """Change a product's price, stock or name. `updatedAt` changes only if a value changes."""
        product = found(self._products, call.id)
        checks = {"price": _checked_price, "stock": _checked_stock, "name": checked_name}
        changed = msgspec.structs.replace(product, **checked_changes(call.body, checks))
        if changed != product:
            self._products.put(msgspec.structs.replace(changed, updated_at=self._data.now()))
        return answer(one(self._products, product.id))

    def _matching(self, query: Mapping[str, str]) -> Sequence[int]:
        search, category = query.get("search", "").casefold(), query.get("category")
        if not search and category is None:
            return self._products.ids
        return sorted(
            product.id
            for product in self._products.records()
            if category in {None, product.category} and search in product.name.casefold()
        )


def _checked_price(value: Any) -> Decimal:
    wanted = f"A price is a number from 0 to {MAX_PRICE} with at most two decimals."
    if not (is_integer(value) or isinstance(value, Decimal)) or not 0 <= value <= MAX_PRICE:
        raise ValueError(wanted)
    price = money(round(value * 100))
    if price != value:
        raise ValueError(wanted)
    return price


def _checked_stock(value: Any) -> int:
    if not is_integer(value) or not 0 <= value <= MAX_STOCK:
        raise ValueError(f"A stock is an integer from 0 to {MAX_STOCK}.")
    return int(value)
