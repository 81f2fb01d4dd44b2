"""The products service: its records and endpoints."""

from typing import Any

import msgspec

from bff import ById, Caller, CursorPages, Int32, Record, Source, Timestamp
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
        """Round the amount to two decimals."""
        if round(self.price, 2) != self.price:
            msgspec.structs.force_setattr(self, "price", amount(self.price))


class Products(Source[Product], forward_identity=False):
    """`/products`: reads by id and in pages, and updates. Products are the same for all users, so no identity is sent."""

    path = "/products"
    by_id = ById()
    page = CursorPages(exact=("category",), filters=("search",))

    async def update(self, caller: Caller, id: int, changes: dict[str, Any], *, key: str) -> Product:
        """Change any of `price`, `stock`, `name`. Raises `Rejected` (404, 422), `SourceError`."""
        return await self.write(caller, "PATCH", "/products/{id}", changes, key=key, id=id)
