"""Trusted documents as REST, for clients without GraphQL: `/{variant}/api/{name}`.

`calls.py` knows the operations by name and reads their parameters, `gate.py` leads a call through the pipeline,
`shapes.py` says in JSON Schema what goes in and comes out, `openapi.py` and `page.py` tell it to machines and people.
"""
