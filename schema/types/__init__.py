"""The graph's types, one file each. A type's fields are resolved from the record of the same name in `datasources`.

So a plain field is one line: its name, its type, and who has it. `self` in a resolver is the record.
"""
