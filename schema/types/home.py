"""The mobile app's first screen in one query."""

from typing import Any

import strawberry

from bff import Info, Loaded, LoadedList, computed, nodes_of
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from schema.rules import viewer_id
from schema.types.order import Order
from schema.types.product import Product
from schema.types.user import User
from schema.variants import MOBILE

RECENT_ORDERS = 3
PRODUCTS = 10


@strawberry.type(description="What the app's first screen shows.")
class Home:
    """Has no data of its own. Each field is loaded separately and fails separately."""

    @computed(
        MOBILE,
        type=User | None,
        extensions=[Loaded(Users.by_id)],
        description="The signed-in user; null for an anonymous request.",
    )
    def user(self, info: Info) -> int | None:
        """The viewer's id."""
        return viewer_id(info.context)

    @computed(
        MOBILE,
        type=list[Order] | None,
        extensions=[LoadedList(Orders.of_user)],
        size=RECENT_ORDERS,
        description="The three newest orders of the signed-in user; null for an anonymous request.",
    )
    def recent_orders(self, info: Info) -> Any:
        """The key of the viewer's newest orders."""
        user_id = viewer_id(info.context)
        return None if user_id is None else Orders.of_user.key(user_id, RECENT_ORDERS)

    @computed(
        MOBILE,
        type=list[Product] | None,
        extensions=[LoadedList(Products.page, show=nodes_of)],
        size=PRODUCTS,
        description="The first ten products of the catalogue.",
    )
    def products(self) -> Any:
        """The key of the catalogue's first page."""
        return Products.page.key(PRODUCTS)
