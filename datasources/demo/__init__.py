"""The shop's three demo services: real HTTP, deterministic data, reads and writes.

They know nothing of GraphQL. `services` makes them as ASGI applications; the gateway's commands serve them.
"""

from datasources.demo.apps import services

__all__ = ["services"]
