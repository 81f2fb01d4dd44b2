"""The shop: an application of the gateway."""

from pathlib import Path

from bff import App, Viewer
from datasources.orders import Orders
from datasources.products import Products
from datasources.users import Users
from schema.mutation import Mutation
from schema.query import Query
from schema.rules import RULES
from schema.variants import EVERYONE

app = App(
    query=Query,
    mutation=Mutation,
    variants=EVERYONE,
    sources=(Users, Orders, Products),
    rules=RULES,
    folder=Path(__file__).parent,
    demo="datasources.demo:services",
    demo_viewers={"user 1": Viewer("1"), "admin": Viewer("1", roles=frozenset({"admin"}))},
)
