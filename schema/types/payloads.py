"""Inputs and payloads of mutations. Mistakes in the input are in `userErrors`; any other failure is a GraphQL error."""

import strawberry

from bff import UserError, field
from schema.types.order import Order
from schema.types.product import Product
from schema.types.source import Source
from schema.types.user import User
from schema.variants import ADMIN, EVERYONE, MOBILE, WEB


@strawberry.type
class PlaceOrderPayload:
    """The order that was placed."""

    order: Order | None = field(WEB, MOBILE)
    user_errors: list[UserError] = field(WEB, MOBILE)


@strawberry.type
class CancelOrderPayload:
    """The order that was cancelled."""

    order: Order | None = field(*EVERYONE)
    user_errors: list[UserError] = field(*EVERYONE)


@strawberry.type
class UpdateProfilePayload:
    """The user as changed."""

    user: User | None = field(WEB, MOBILE)
    user_errors: list[UserError] = field(WEB, MOBILE)


@strawberry.type
class UpdateOrderStatusPayload:
    """The order as changed."""

    order: Order | None = field(ADMIN)
    user_errors: list[UserError] = field(ADMIN)


@strawberry.type
class UpdateProductPayload:
    """The product as changed."""

    product: Product | None = field(ADMIN)
    user_errors: list[UserError] = field(ADMIN)


@strawberry.type
class ForceBreakerPayload:
    """The source's new state."""

    source: Source | None = field(ADMIN)
    user_errors: list[UserError] = field(ADMIN)


@strawberry.type
class DropCachePayload:
    """The sources whose caches were cleared."""

    sources: list[Source] = field(ADMIN)
    user_errors: list[UserError] = field(ADMIN)


@strawberry.type
class ReloadSettingsPayload:
    """The outcome of reloading the settings."""

    moved: list[str] = field(ADMIN, description="The sources whose instances were changed.")
    changed: list[str] = field(ADMIN, description="The settings that were changed, by their names.")
    needs_restart: list[str] = field(ADMIN, description="The changed settings that take effect only after a restart.")
    user_errors: list[UserError] = field(ADMIN)


@strawberry.input
class OrderItemInput:
    """A quantity of one product."""

    product_id: strawberry.ID
    quantity: int


@strawberry.input
class PlaceOrderInput:
    """What to order. Repeated requests with the same key place one order."""

    items: list[OrderItemInput]
    idempotency_key: str | None = None


@strawberry.input
class UpdateProfileInput:
    """Changes of the viewer's profile. Omitted members stay unchanged."""

    name: str | None = strawberry.UNSET
    email: str | None = strawberry.UNSET


@strawberry.input
class UpdateProductInput:
    """Changes of a product. Omitted members stay unchanged."""

    name: str | None = strawberry.UNSET
    price: float | None = strawberry.UNSET
    stock: int | None = strawberry.UNSET
