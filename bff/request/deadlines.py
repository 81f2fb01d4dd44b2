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

    def wished(self, deadline: Deadline, began: float, headers: list[bytes]) -> Deadline:
        """The deadline of a request that carries the header. Raises `BadRequest`."""
        if len(headers) != 1 or not _MILLISECONDS.match(headers[0]):
            raise BadRequest("X-Request-Timeout-Ms: expected a single number of milliseconds, 1 to 999999999.")
        at = began + max(int(headers[0]) / 1000, self.minimum_s)
        return Deadline(at, deadline.clock, by_client=True) if at < deadline.at else deadline

    def of_operation(self, deadline: Deadline, began: float, own_s: float, *, is_trusted: bool) -> Deadline:
        """The deadline of an operation that has one of its own, `own_s`. `deadline` is the request's."""
        at = began + own_s
        if at >= deadline.at and (deadline.by_client or not is_trusted):
            return deadline
        return Deadline(at, deadline.clock)


DEFAULT_DEADLINES = Deadlines()
"""Those of a variant without settings."""
