"""The shop's three demo services: REST over deterministic data, with reads and writes.

They know nothing of GraphQL. `services` makes them as ASGI applications; `bff dev` and `bff demo-services` serve them.
"""

from datasources.demo.apps import services

__all__ = ["services"]
