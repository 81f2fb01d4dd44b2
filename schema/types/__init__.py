"""The graph's types, one file each. A type's fields are resolved from the record of the same name in `datasources`.

A plain field is one line: its name, its type and its variants. `self` in a resolver is the record.
"""
