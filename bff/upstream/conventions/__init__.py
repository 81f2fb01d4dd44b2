"""The conventions of a service: what differs between services that do the same. Declared at the source, each a small value.

class PartsApi(Source[R]):
    conventions = Conventions(one="data", items="data", errors=ErrorObject("error"), statuses={410: 404})
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bff.upstream.conventions.envelopes import Part, envelope_of
from bff.upstream.conventions.errors import ErrorObject as ErrorObject
from bff.upstream.conventions.errors import FieldProblem as FieldProblem
from bff.upstream.conventions.errors import Problem as Problem
from bff.upstream.conventions.errors import ReadProblem, problem_details, read_problem
from bff.upstream.conventions.keys import Comma as Comma
from bff.upstream.conventions.keys import Many as Many
from bff.upstream.conventions.keys import Naming, camel
from bff.upstream.conventions.keys import OneByOne as OneByOne
from bff.upstream.conventions.keys import Posted as Posted
from bff.upstream.conventions.keys import Repeated as Repeated
from bff.upstream.conventions.keys import snake as snake
from bff.upstream.conventions.paging import Cursor as Cursor
from bff.upstream.conventions.paging import InHeader as InHeader
from bff.upstream.conventions.paging import LastId as LastId
from bff.upstream.conventions.paging import LinkHeader as LinkHeader
from bff.upstream.conventions.paging import Offset as Offset
from bff.upstream.conventions.paging import PageNumber as PageNumber
from bff.upstream.conventions.paging import Paging as Paging

Statuses = Mapping[int, int] | Callable[[int, bytes], int]
"""What a service's statuses mean: the standard status that each stands for, or a function from status and body to it."""

_JSON = "application/json"
_STANDARD = frozenset({200, 201, 204, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Conventions:
    """How a service answers. The defaults are those of the demo services.

    Attributes:
        one: where the reply for one object has it: a path of members, as `data`; empty for the whole body.
        items: where the reply for several has them; empty for a bare array.
        naming: how the service writes names: `camel` or `snake`, or an own function. For parameters. The members of a record
            are named by the record: `class Part(Record, rename=None)` has them as they are.
        errors: reads the body of an error: `problem_details`, an `ErrorObject`, or an own function.
        statuses: what the service's own statuses mean. 404: not there; 401: sign in; 403: not allowed; 409: not in this
            state; 422: invalid input; 400: wrong request; 429, 503: try again later; 500: it failed; 200: it worked.
        none_is_404: whether 404 is the reply to a read of several objects of which none exists.
        media_types: media types of JSON besides `application/json` and those that end with `+json`.
        idempotency_header: the header with a write's key; None if the service has none: then writes are not retried.
    """

    one: str = ""
    items: str = "items"
    naming: Naming = camel
    errors: ReadProblem = problem_details
    statuses: Statuses = field(default_factory=dict)
    none_is_404: bool = False
    media_types: tuple[str, ...] = ()
    idempotency_header: str | None = "Idempotency-Key"

    def check(self) -> None:
        """Check the declaration. Raises `TypeError`."""
        for part in (self.one, self.items):
            envelope_of({"part": Part(part, Any)})
        if isinstance(self.statuses, Mapping):
            for status, meaning in self.statuses.items():
                if not 200 <= status <= 599 or meaning not in _STANDARD:
                    known = ", ".join(map(str, sorted(_STANDARD)))
                    raise TypeError(
                        f"statuses: expected statuses from 200 to 599 that mean one of {known}, got {status}: {meaning}"
                    )
        for name in ("errors", "naming"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name}: expected a function, got {getattr(self, name)!r}")

    @cached_property
    def has_own_statuses(self) -> bool:
        """Whether statuses have other meanings than usual."""
        return callable(self.statuses) or bool(self.statuses)

    def meaning_of(self, status: int, body: bytes) -> int:
        """The standard status that a reply's status stands for. An application's function can't break a call."""
        if isinstance(self.statuses, Mapping):
            return self.statuses.get(status, status)
        try:
            meaning = self.statuses(status, body)
        except Exception:  # noqa: BLE001 - see above
            return status
        return meaning if meaning in _STANDARD else status

    def problem_in(self, status: int, body: bytes) -> Problem:
        """What the body of an error says."""
        return read_problem(self.errors, status, body)

    def is_json(self, media_type: str) -> bool:
        """Whether a media type, in lower case and without parameters, is JSON here."""
        return media_type == _JSON or media_type.endswith("+json") or media_type in self.media_types


STANDARD = Conventions()
"""Those of the demo services."""
