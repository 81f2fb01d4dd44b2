"""The ids of the records that generated demo services have, so that those of one service may refer to another's."""

FIRST_IDS = {
    "int": ("1", "2", "3"),
    "str": ("a-1", "a-2", "a-3"),
    "UUID": (
        "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c01",
        "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c02",
        "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c03",
    ),
}
"""By the type of the record's id."""

MISSING_ID = {"int": "99", "str": "z-9", "UUID": "7f2c1a52-5d3e-4f6b-9a1c-0d4e8b7a6c99"}
"""An id that no record of a demo service has."""
