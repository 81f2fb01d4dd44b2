"""A product."""

from datetime import datetime

import strawberry

from bff import BadUserInput, Info, Variant, computed, field
from datasources import products
from schema.variants import ADMIN, EVERYONE, MOBILE, WEB

MOST_WIDTH = 8192
IMAGE_WIDTHS: dict[Variant, int] = {MOBILE: 320}
"""The default width of images by variant, in pixels. In other variants images are not scaled by default."""


@strawberry.type(description="A product of the catalogue.")
class Product:
    """Resolved from `datasources.products.Product`."""

    id: strawberry.ID = field(*EVERYONE)
    name: str = field(*EVERYONE)
    price: float = field(*EVERYONE)
    currency: str = field(*EVERYONE)
    description: str = field(WEB, ADMIN)
    category: str = field(WEB, ADMIN)
    sku: str = field(ADMIN)
    stock: int = field(ADMIN)
    updated_at: datetime = field(ADMIN)

    @computed(*EVERYONE, description="Whether at least one is in stock.")
    def in_stock(self) -> bool:
        """Whether it can be ordered now."""
        return self.stock > 0

    @computed(*EVERYONE, description="URL of the picture, scaled to `width` pixels if it is given.")
    def image_url(self: products.Product, info: Info, width: int | None = None) -> str:
        """The URL of the picture, with the parameter `w` if a width is requested."""
        width = IMAGE_WIDTHS.get(info.context.variant) if width is None else width
        return self.image_url if width is None else scaled(self.image_url, width)


def scaled(url: str, width: int) -> str:
    """`url` with `w=` added to its query. Raises `BadUserInput` for a width out of range."""
    if not 1 <= width <= MOST_WIDTH:
        raise BadUserInput(f"width: expected 1 to {MOST_WIDTH}, got {width}.")
    address, hash_, fragment = url.partition("#")
    return f"{address}{'&' if '?' in address else '?'}w={width}{hash_}{fragment}"
