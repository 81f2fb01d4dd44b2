"""How long a request to a variant may take: the variant's time, that of single operations, and what the client asks for.

1. The variant's deadline holds for a whole request, with its body and the preparation of its document.
2. An operation may have a deadline of its own, by its name. Who writes a document chooses that name. So a longer deadline
   than the variant's holds only for a trusted document; for any other, only a shorter one does.
3. A client may ask for less time in `X-Request-Timeout-Ms`, the header that the gateway itself sends to services. It never
   gets more, and never less than `minimum_s`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bff.errors import BadRequest
from bff.runtime.clock import Clock
from bff.upstream.caller import Deadline

HEADER = b"x-request-timeout-ms"
_MILLISECONDS = re.compile(rb"[1-9][0-9]{0,8}\Z")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The deadlines of a variant, in seconds after a request's arrival.

    Attributes:
        request_s: of a request.
        minimum_s: the shortest that a client can ask for.
        by_operation: of operations, by their names.
    """

    request_s: float = 10.0
    minimum_s: float = 0.05
    by_operation: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def wish(self, began: float, clock: Clock, headers: list[bytes]) -> Deadline:
        """The deadline that the client asks for with these values of the header. Raises `BadRequest`."""
        if len(headers) != 1 or not _MILLISECONDS.match(headers[0]):
            raise BadRequest("X-Request-Timeout-Ms: expected a single number of milliseconds, 1 to 999999999.")
        return Deadline(began + max(int(headers[0]) / 1000, self.minimum_s), clock, by_client=True)

    def of_operation(self, own_s: float, began: float, clock: Clock, wish: Deadline | None, *, is_trusted: bool) -> Deadline:
        """The deadline of an operation that has one of its own, `own_s`. `wish` is the client's, if it has one."""
        at = began + (own_s if is_trusted else min(own_s, self.request_s))
        return wish if wish is not None and wish.at < at else Deadline(at, clock)


DEFAULT_DEADLINES = Deadlines()
"""Those of a variant without settings."""
