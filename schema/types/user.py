"""A user, and what crosses from a user to other services."""

from datetime import datetime

import strawberry

from bff.graph.loaded import LoadedList, Prefetch
from bff.graph.loaders import UserOrdersKey
from bff.graph.scalars import DEFAULT_FIRST, first_of
from bff.graph.tags import ADMIN, EVERYONE, WEB, computed, enum_for, on
from datasources.orders import OrderStatus
from datasources.users import Tier
from schema.types.order import Order

enum_for(description="What a user has subscribed to.")(Tier)


@strawberry.type(description="Somebody who may sign in and order.")
class User:
    """Resolved from `datasources.users.User`."""

    id: strawberry.ID = on(*EVERYONE)
    name: str | None = on(*EVERYONE)
    email: str = on(*EVERYONE)
    tier: Tier = on(*EVERYONE)
    created_at: datetime = on(WEB, ADMIN)

    @computed(
        *EVERYONE,
        type=list[Order] | None,
        extensions=[LoadedList("user_orders", prefetch=Prefetch("user"))],
        description="The newest first.",
    )
    def orders(self, first: int | None = DEFAULT_FIRST, status: OrderStatus | None = None) -> UserOrdersKey:
        """The user's orders."""
        return UserOrdersKey(int(self.id), first_of(first), status)
