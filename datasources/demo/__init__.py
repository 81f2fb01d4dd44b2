"""The shop's three demo services: ASGI applications with deterministic data, reads and writes.

They don't use GraphQL. `services` makes them; `bff dev` and `bff demo-services` serve them.
"""

from datasources.demo.apps import services

__all__ = ["services"]
