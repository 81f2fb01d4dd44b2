"""Variants: the views of one graph that are mounted as endpoints of their own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z", re.ASCII)
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Variant:
    """One endpoint's view of the graph, and what differs there besides the fields. Also the tag of what is in it.

    Attributes:
        name: `web`. The first part of the endpoint's path, and in settings, metrics and logs.
        role: the role that a token must carry; None if anyone may use the variant.
        staff: whether its viewers see everybody's data: rules about owners do not apply. Needs a `role`.
        defaults: of the variant's settings, where they differ from those of all: `{"limits": {"cost": 20_000}}`.
    """

    name: str
    role: str | None = None
    staff: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check the name. Raises `ValueError`."""
        if not _NAME.match(self.name) or len(self.name) > _LONGEST_NAME:
            raise ValueError(f"variant: expected lower-case letters, digits and single _ between them, got {self.name!r}")
        if self.staff and self.role is None:
            raise ValueError(f"variant {self.name}: staff sees everybody's data, so it needs a role")

    @property
    def path(self) -> str:
        """Where the variant is mounted."""
        return f"/{self.name}/graphql"
