"""The graph: what clients see. Types are written once and tagged with the variants they are in; resolvers are one line.

It knows the data sources and nothing of HTTP or of how an operation is executed.
"""
