"""The products service: its records and endpoints."""

from typing import Any

import msgspec

from bff.upstream.caller import Caller
from bff.upstream.reads import ById, CursorPages
from bff.upstream.records import Int32, Record, Timestamp
from bff.upstream.source import Source
from datasources.money import amount


class Product(Record, frozen=True, kw_only=True):
    """A product. `price` is an amount in `currency`."""

    id: int
    sku: str
    name: str
    description: str
    price: float
    currency: str
    stock: Int32
    category: str
    image_url: str
    updated_at: Timestamp

    def __post_init__(self) -> None:
        """Keep amounts to two decimals, whatever the service sends."""
        if round(self.price, 2) != self.price:
            msgspec.structs.force_setattr(self, "price", amount(self.price))


class Products(Source[Product], forward_identity=False):
    """`/products`: one, many, pages, and a change of one. The catalogue is the same for everybody."""

    path = "/products"
    by_id = ById()
    page = CursorPages(exact=("category",), filters=("search",))

    async def update(self, caller: Caller, id: int, changes: dict[str, Any], *, key: str) -> Product:
        """Change any of `price`, `stock`, `name`. Raises `Rejected` (404, 422), `SourceError`."""
        return await self.write(caller, "PATCH", "/products/{id}", changes, key=key, id=id)
