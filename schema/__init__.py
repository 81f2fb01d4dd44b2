"""The graph: what clients see. Each type is written once, and its fields are tagged with their variants.

This package depends on `datasources` and `bff`. It does not deal with HTTP or with the execution of operations.
"""
