"""A user, and the user's relations to other services."""

from datetime import datetime

import strawberry

from bff import enum, field, many
from datasources.orders import Orders
from datasources.users import Tier
from schema.types.order import Order
from schema.variants import ADMIN, EVERYONE, WEB

enum(description="The subscription level of a user.")(Tier)


@strawberry.type(description="A customer of the shop.")
class User:
    """Resolved from `datasources.users.User`."""

    id: strawberry.ID = field(*EVERYONE)
    name: str | None = field(*EVERYONE)
    email: str = field(*EVERYONE)
    tier: Tier = field(*EVERYONE)
    created_at: datetime = field(WEB, ADMIN)

    orders: list[Order] | None = many(*EVERYONE, read=Orders.of_user, description="The user's orders, newest first.")
