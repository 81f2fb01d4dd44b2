"""The REST sources that the graph stands on."""

from dataclasses import dataclass

from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users


@dataclass(frozen=True, slots=True)
class Sources:
    """The REST sources, bound at start-up."""

    users: Users
    orders: Orders
    products: Products

    def all(self) -> "tuple[Users, Orders, Products]":
        """Every source, in the order in which they are shown."""
        return self.users, self.orders, self.products
