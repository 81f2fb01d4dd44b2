"""What can go wrong with a call to a service.

SourceError                 code                  counts against the service               a second try may help
├── NotSendable             UPSTREAM_ERROR        no: nothing was sent                     no
├── Unavailable             UPSTREAM_UNAVAILABLE
│   ├── BreakerOpen                               no: nothing was asked                    no
│   ├── QueueFull                                 no: refused here                         no
│   ├── NotReached                                yes: no connection, or one that broke    yes
│   └── Busy                                      503 yes, 429 no                          yes
├── TimedOut                UPSTREAM_TIMEOUT      yes, where the service had its time      yes, where it was asked
├── BadAnswer               UPSTREAM_ERROR        5xx and what can't be read: yes;         502, 504, an answer that broke off
│   │                                             400 and one wrong object: no
│   ├── Misshapen                                 no: it may be one wrong object           no
│   └── Mismatched                                no: a client chooses what is requested   no
├── Unauthenticated         UNAUTHENTICATED       no                                       no
├── Forbidden               FORBIDDEN             no                                       no
└── Rejected                UPSTREAM_ERROR        no: 404, 409 and 422, which the one      no
                                                  who asked can mend

Messages are fit for a client: they name the service and never its address, its words or what was asked.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class FieldProblem(msgspec.Struct, frozen=True):
    """One entry of the `errors` member that rest.md adds to a 422 answer."""

    field: str = ""
    message: str = ""


class Problem(msgspec.Struct, frozen=True):
    """What is used of an RFC 9457 problem document."""

    title: str = ""
    detail: str = ""
    errors: Sequence[FieldProblem] = ()


class SourceError(Exception):
    """The root: a call failed.

    `service` names the source. Not `source`: graphql-core reads that from any exception, as the document's text.
    `counts` says whether the service is to blame, `asked` whether the call went out at all, `answered` whether any answer
    came, `retriable` whether the same call made again may fare better; `retry_after` is in seconds.
    """

    code: ClassVar[str] = "UPSTREAM_ERROR"
    outcome: ClassVar[str] = "error"
    answered: ClassVar[bool] = False
    asked: bool = True
    retriable: bool = False

    def __init__(self, source: str, message: str, *, counts: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.service = source
        self.message = message
        self.counts = counts
        self.retry_after = retry_after


class NotSendable(SourceError):
    """The call can't be sent as an HTTP request: a header's value or a target is too long, for example."""

    def __init__(self, source: str) -> None:
        super().__init__(source, f"The {source} service can't be asked this.")


class Unavailable(SourceError):
    """The service can't be asked now."""

    code = "UPSTREAM_UNAVAILABLE"
    outcome = "unavailable"


class BreakerOpen(Unavailable):
    """Too many calls failed lately: none is let through until the breaker half opens."""

    outcome = "breaker_open"
    asked = False

    def __init__(self, source: str, retry_after: float) -> None:
        super().__init__(source, f"The {source} service is not being asked at present.", retry_after=retry_after)


class QueueFull(Unavailable):
    """As many calls as may run and wait already do."""

    outcome = "queue_full"
    asked = False

    def __init__(self, source: str) -> None:
        super().__init__(source, f"The {source} service has too many calls waiting.")


class NotReached(Unavailable):
    """No connection came about, or it broke before an answer began. `sent` tells whether the service may have acted."""

    outcome = "not_reached"
    retriable = True

    def __init__(self, source: str, *, sent: bool, counts: bool = True) -> None:
        super().__init__(source, f"The {source} service could not be reached.", counts=counts)
        self.sent = sent


class Busy(Unavailable):
    """The service answered 429 or 503."""

    outcome = "busy"
    answered = True
    retriable = True

    def __init__(self, source: str, status: int, retry_after: float | None) -> None:
        super().__init__(source, f"The {source} service is busy.", counts=status >= 500, retry_after=retry_after)


class TimedOut(SourceError):
    """No whole answer came in time, or no time was left to ask."""

    code = "UPSTREAM_TIMEOUT"
    outcome = "timeout"

    def __init__(self, source: str, *, counts: bool, asked: bool = True) -> None:
        super().__init__(source, f"The {source} service took too long.", counts=counts)
        self.asked = self.retriable = asked


class BadAnswer(SourceError):
    """The answer breaks the service's contract. `status` is set if the answer's status was the reason."""

    outcome = "bad_answer"
    answered = True

    def __init__(self, source: str, *, counts: bool, retriable: bool = False, status: int | None = None) -> None:
        super().__init__(source, f"The {source} service gave an answer that can't be used.", counts=counts)
        self.retriable = retriable
        self.status = status


class Misshapen(BadAnswer):
    """The answer is valid JSON of another shape: the service works, but breaks the contract."""

    def __init__(self, source: str) -> None:
        super().__init__(source, counts=False)


class Mismatched(BadAnswer):
    """The answer is to another question, perhaps another request's. The outcome of a write is unknown then."""

    outcome = "mismatch"

    def __init__(self, source: str) -> None:
        super().__init__(source, counts=False)


class Unauthenticated(SourceError):
    """The service answered 401."""

    code = "UNAUTHENTICATED"
    outcome = "refused"
    answered = True

    def __init__(self, source: str) -> None:
        super().__init__(source, f"The {source} service asks for a valid sign-in.")


class Forbidden(SourceError):
    """The service answered 403."""

    code = "FORBIDDEN"
    outcome = "refused"
    answered = True

    def __init__(self, source: str) -> None:
        super().__init__(source, f"The {source} service does not allow this.")


class Rejected(SourceError):
    """The service understood and said no: 400, 404, 409 or 422. `problem` is for logs and for a person's own mistakes."""

    outcome = "rejected"
    answered = True

    def __init__(self, source: str, status: int, problem: Problem) -> None:
        super().__init__(source, f"The {source} service gave an answer that can't be used.")
        self.status = status
        self.problem = problem
