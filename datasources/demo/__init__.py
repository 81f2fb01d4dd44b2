"""The three demo REST services: real HTTP, deterministic data, reads and writes.

They speak the contract that the gateway's data sources speak, no more: nothing here knows of GraphQL or of the
gateway. `datasources.demo.apps` makes the three ASGI apps, `datasources.demo.serve` listens with them on loopback ports.
"""
