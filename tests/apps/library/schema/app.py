"""The library as an application of the gateway."""

from pathlib import Path

from datasources.authors import Authors
from datasources.books import Books
from datasources.reviews import Reviews

from bff import App, Viewer
from schema.mutation import Mutation
from schema.query import Query
from schema.rules import RULES
from schema.variants import BOTH

app = App(
    query=Query,
    mutation=Mutation,
    variants=BOTH,
    sources=(Authors, Books, Reviews),
    rules=RULES,
    folder=Path(__file__).parent,
    demo="datasources.demo:services",
    demo_viewers={"ann": Viewer("ann"), "librarian": Viewer("mo", roles=frozenset({"librarian"}))},
)
