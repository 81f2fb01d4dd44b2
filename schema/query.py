"""The query type. Each field declares how it is loaded and who may see it."""

import strawberry

from bff import Access, Connection, Info, Loaded, SourceStatus, computed, connection, lookup
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from schema.rules import viewer_id
from schema.types.home import Home
from schema.types.order import Order
from schema.types.product import Product
from schema.types.source import Source
from schema.types.user import User
from schema.variants import ADMIN, EVERYONE, MOBILE


@strawberry.type(description="The root type of queries.")
class Query:
    """The root type of queries."""

    @computed(
        *EVERYONE,
        type=User | None,
        extensions=[Loaded(Users.by_id)],
        description="The signed-in user; null for an anonymous request.",
    )
    def me(self, info: Info) -> int | None:
        """The viewer's id."""
        return viewer_id(info.context)

    user: User | None = lookup(
        *EVERYONE,
        read=Users.by_id,
        access=Access(owner="id"),
        description="A user by id. Viewers who are not staff can only read themselves.",
    )
    users: Connection[User] | None = connection(ADMIN, read=Users.page, description="All users, by id.")
    order: Order | None = lookup(
        *EVERYONE,
        read=Orders.by_id,
        access=Access(),
        description="An order by id. Viewers who are not staff can only read their own orders.",
    )
    orders: Connection[Order] | None = connection(ADMIN, read=Orders.page, description="All orders, newest first.")
    product: Product | None = lookup(*EVERYONE, read=Products.by_id)
    products: Connection[Product] | None = connection(
        *EVERYONE,
        read=Products.page,
        description="All products, by id. `search` matches any part of the name, ignoring case.",
    )

    @computed(ADMIN, type=list[Source], description="The state of the gateway's data sources.")
    def sources(self, info: Info) -> list[SourceStatus]:
        """The state of each source. It must not be cached."""
        info.context.caller.freshness.forbid()
        return [source.status() for source in info.context.sources]

    @computed(MOBILE, type=Home | None, description="Everything on the app's first screen.")
    def home(self) -> Home:
        """An empty object: each of its fields loads its own data."""
        return Home()
