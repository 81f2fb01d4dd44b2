"""The REST services as Python sees them: typed records, and calls that are bounded, guarded and told apart when they fail.

Nothing here knows GraphQL, and no source knows another.
"""
