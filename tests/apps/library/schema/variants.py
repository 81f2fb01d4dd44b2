"""The variants of the library's graph."""

from bff import Variant

READER = Variant("reader")
DESK = Variant("desk", role="librarian", staff=True, defaults={"introspection": True})
BOTH = (READER, DESK)
