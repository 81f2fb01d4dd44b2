"""The mobile app's first screen in one call."""

import strawberry

from bff.graph.connections import nodes_of
from bff.graph.context import Info
from bff.graph.loaded import Loaded, LoadedList
from bff.graph.loaders import UserOrdersKey
from bff.graph.pages import PageKey
from bff.graph.tags import MOBILE, computed
from schema.types.order import Order
from schema.types.product import Product
from schema.types.user import User

RECENT_ORDERS = 3
PRODUCTS = 10


@strawberry.type(description="All that the app's first screen shows.")
class Home:
    """Has no data of its own: each part is loaded by itself, and lost by itself."""

    @computed(MOBILE, type=User | None, extensions=[Loaded("user")], description="Null when nobody is signed in.")
    def user(self, info: Info) -> int | None:
        """The viewer's id."""
        return info.context.user_id

    @computed(
        MOBILE,
        type=list[Order] | None,
        extensions=[LoadedList("user_orders")],
        size=RECENT_ORDERS,
        description="The viewer's three newest; null when nobody is signed in.",
    )
    def recent_orders(self, info: Info) -> UserOrdersKey | None:
        """The viewer's newest orders."""
        user_id = info.context.user_id
        return None if user_id is None else UserOrdersKey(user_id, RECENT_ORDERS)

    @computed(
        MOBILE,
        type=list[Product] | None,
        extensions=[LoadedList("products_page", show=nodes_of)],
        size=PRODUCTS,
        description="The first ten.",
    )
    def products(self) -> PageKey:
        """The catalogue's beginning."""
        return PageKey(PRODUCTS)
