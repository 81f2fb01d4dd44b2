"""The gateway: from an HTTP request to an HTTP response.

`cli → app → pipeline → {gate, engine, observe}`; the graph below is `schema`, the services below that `datasources`.
"""

__version__ = "0.1.0"
