"""What `bff new source --openapi` does: reads an OpenAPI document (3.0, 3.1), finds a resource in it, and writes its source.

A document is data that others wrote. What gets from it into code is a name by our own rules or a quoted text of harmless
characters (`words.py`). What can't be told becomes a note for the person who runs the command.
"""
