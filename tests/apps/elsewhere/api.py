"""What the resources of the service have in common."""

from typing import Any

from bff import Source
from bff.conventions import Conventions, ErrorObject, snake


class LibraryApi(Source[Any], forward_identity=False):
    """Objects and lists are in `data`, errors in `error`, names in snake case; an unusable input is 400."""

    conventions = Conventions(
        one="data",
        items="data",
        naming=snake,
        errors=ErrorObject("error"),
        statuses={400: 422, 410: 404},
        idempotency_header="X-Request-Token",
    )
