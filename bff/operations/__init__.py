"""Trusted documents as REST, for clients without GraphQL: `/{variant}/api/{name}`.

`calls.py` finds an operation by its name and reads its parameters. `gate.py` runs a call through the request's pipeline.
`shapes.py` describes parameters and responses in JSON Schema, `openapi.py` in OpenAPI, and `page.py` shows that to people.
"""
