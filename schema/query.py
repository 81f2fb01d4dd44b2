"""The root of all reading. A resolver says by which key its field is loaded, and who may have it."""

from typing import Any

import strawberry

from bff.graph.connections import Connection, page_key
from bff.graph.context import Context, Info, as_id
from bff.graph.loaded import Loaded
from bff.graph.pages import PageKey
from bff.graph.rules import Access
from bff.graph.scalars import DEFAULT_FIRST
from bff.graph.tags import ADMIN, EVERYONE, MOBILE, computed
from bff.upstream.traffic.stack import SourceStatus
from datasources.orders import OrderStatus
from schema.types.home import Home
from schema.types.order import Order
from schema.types.product import Product
from schema.types.source import Source
from schema.types.user import User


def own_order(order: Any, context: Context) -> Any:
    """The order, where the viewer may see its user; else None, as if there were none."""
    return order if context.may_see_user(order.user_id) else None


@strawberry.type(description="What can be asked.")
class Query:
    """Everything that can be read."""

    @computed(*EVERYONE, type=User | None, extensions=[Loaded("user")], description="Who is signed in; null when nobody is.")
    def me(self, info: Info) -> int | None:
        """The viewer's id."""
        return info.context.user_id

    @computed(
        *EVERYONE,
        type=User | None,
        extensions=[Access(owner="id"), Loaded("user")],
        description="A user; without a role, only oneself.",
    )
    def user(self, id: strawberry.ID) -> int | None:
        """The user's id."""
        return as_id(id)

    @computed(ADMIN, type=Connection[User] | None, extensions=[Loaded("users_page")], description="All users, by id.")
    def users(self, first: int | None = DEFAULT_FIRST, after: str | None = None) -> PageKey:
        """The stretch that is wanted."""
        return page_key(first, after)

    @computed(
        *EVERYONE,
        type=Order | None,
        extensions=[Access(), Loaded("order", show=own_order)],
        description="One's own order.",
    )
    def order(self, id: strawberry.ID) -> int | None:
        """The order's id."""
        return as_id(id)

    @computed(ADMIN, type=Connection[Order] | None, extensions=[Loaded("orders_page")], description="All, newest first.")
    def orders(
        self, first: int | None = DEFAULT_FIRST, after: str | None = None, status: OrderStatus | None = None
    ) -> PageKey:
        """The stretch that is wanted."""
        return page_key(first, after, status=status and status.value)

    @computed(*EVERYONE, type=Product | None, extensions=[Loaded("product")])
    def product(self, id: strawberry.ID) -> int | None:
        """The product's id."""
        return as_id(id)

    @computed(
        *EVERYONE,
        type=Connection[Product] | None,
        extensions=[Loaded("products_page")],
        description="The catalogue, by id. `search` is looked for in names, whatever the case.",
    )
    def products(
        self,
        first: int | None = DEFAULT_FIRST,
        after: str | None = None,
        search: str | None = None,
        category: str | None = None,
    ) -> PageKey:
        """The stretch that is wanted."""
        return page_key(first, after, search=search, category=category)

    @computed(ADMIN, type=list[Source], description="The gateway's own view of its data sources.")
    def sources(self, info: Info) -> list[SourceStatus]:
        """Each source's state, which nobody shall keep."""
        info.context.caller.freshness.forbid()
        return [source.status() for source in info.context.sources.all()]

    @computed(MOBILE, type=Home | None, description="One call for the app's first screen.")
    def home(self) -> Home:
        """The screen; its parts load themselves."""
        return Home()
