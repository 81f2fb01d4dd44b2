"""Variants: views of one graph, each served at its own endpoint."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z", re.ASCII)
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Variant:
    """One endpoint's view of the graph. Fields are tagged with the variants that contain them.

    Attributes:
        name: as `web`: the first part of the endpoint's path, and its name in settings, metrics and logs.
        role: the role that a token must carry; None if no role is needed.
        staff: whether its viewers see the data of all users: rules about owners do not apply. Needs a `role`.
        defaults: the variant's own defaults of its settings: `{"limits": {"cost": 20_000}}`.
    """

    name: str
    role: str | None = None
    staff: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check the name and the role. Raises `ValueError`."""
        if not _NAME.match(self.name) or len(self.name) > _LONGEST_NAME:
            raise ValueError(f"variant: expected lower-case letters, digits and single _ between them, got {self.name!r}")
        if self.staff and self.role is None:
            raise ValueError(f"variant {self.name}: staff=True shows the data of all users, so the variant needs a role")

    @property
    def path(self) -> str:
        """The path of the variant's endpoint."""
        return f"/{self.name}/graphql"
