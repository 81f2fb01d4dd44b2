"""A product."""

from datetime import datetime

import strawberry

from bff.graph.context import Info
from bff.graph.errors import BadUserInput
from bff.graph.tags import ADMIN, EVERYONE, WEB, computed, on
from datasources import products

MOST_WIDTH = 8192


@strawberry.type(description="Something that can be ordered.")
class Product:
    """Resolved from `datasources.products.Product`."""

    id: strawberry.ID = on(*EVERYONE)
    name: str = on(*EVERYONE)
    price: float = on(*EVERYONE)
    currency: str = on(*EVERYONE)
    description: str = on(WEB, ADMIN)
    category: str = on(WEB, ADMIN)
    sku: str = on(ADMIN)
    stock: int = on(ADMIN)
    updated_at: datetime = on(ADMIN)

    @computed(*EVERYONE, description="Whether at least one is in stock.")
    def in_stock(self) -> bool:
        """Whether it can be had now."""
        return self.stock > 0

    @computed(*EVERYONE, description="The picture, scaled to so many pixels where a width is given.")
    def image_url(self: products.Product, info: Info, width: int | None = None) -> str:
        """The picture's URL with `?w=` added."""
        width = info.context.variant.image_width if width is None else width
        return self.image_url if width is None else scaled(self.image_url, width)


def scaled(url: str, width: int) -> str:
    """`url` with `w=` added to its query. Raises `BadUserInput` for a width that no picture has."""
    if not 1 <= width <= MOST_WIDTH:
        raise BadUserInput(f"width: expected 1 to {MOST_WIDTH}, got {width}.")
    address, hash_, fragment = url.partition("#")
    return f"{address}{'&' if '?' in address else '?'}w={width}{hash_}{fragment}"
