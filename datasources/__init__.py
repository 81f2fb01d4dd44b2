"""The shop's REST services: typed records and the calls that read and write them.

No module here imports GraphQL, and no source depends on another.
"""
