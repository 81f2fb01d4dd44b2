"""The errors of a call to a service.

SourceError                 code                  counts against the service               a retry may help
├── NotSendable             UPSTREAM_ERROR        no: nothing was sent                     no
├── TooManyCalls            QUERY_TOO_COMPLEX     no: nothing was sent                     no
├── Unavailable             UPSTREAM_UNAVAILABLE
│   ├── BreakerOpen                               no: nothing was sent                     no
│   ├── NoCredentials                             no: nothing was sent                     no
│   ├── CredentialsRefused                        no: the gateway's own fault              if they can be renewed
│   ├── SourceRateLimited                         no: refused here                         no
│   ├── QueueFull                                 no: refused here                         no
│   ├── NotReached                                yes: no connection, or one that broke    yes
│   └── Busy                                      503 yes, 429 no                          yes
├── TimedOut                UPSTREAM_TIMEOUT      yes, if the service had enough time      yes, if it was sent
├── BadAnswer               UPSTREAM_ERROR        5xx and an unreadable body: yes;         502, 504, a truncated response
│   │                                             4xx and one wrong object: no
│   ├── Misshapen                                 no: it may be one wrong object           no
│   └── Mismatched                                no: a client chooses what is requested   no
├── Unauthenticated         UNAUTHENTICATED       no                                       no
├── Forbidden               FORBIDDEN             no                                       no
└── Rejected                UPSTREAM_ERROR        no: 400, 404, 409 and 422, errors        no
                                                  that the client can correct

Messages may be shown to clients: they name the service, and never its address, its own text or the request.
"""

from typing import TYPE_CHECKING, ClassVar

from bff.upstream.conventions.errors import Problem

if TYPE_CHECKING:
    from bff.upstream.traffic.streams import KeptAnswer


class SourceError(Exception):
    """The root: a call failed.

    Attributes:
        service: the source's name. Not `source`: graphql-core reads that attribute of any exception, as the document's text.
        counts: whether it counts against the service, as a failure in its breaker.
        asked: whether the call was sent, or may have been.
        answered: whether there was any response.
        retriable: whether a retry may succeed.
        retry_after: seconds after which a retry makes sense; None if unknown.
        may_have_happened: whether it was a write that the service may have executed all the same.
        is_of_every_key: whether parts of the batch failed in the same way, so that no single key is the reason.
        code: the GraphQL error's code.
        outcome: the error's name in metrics and logs.
        answer: the service's own answer, which a route passes on; None for other calls.
    """

    code: ClassVar[str] = "UPSTREAM_ERROR"
    outcome: ClassVar[str] = "error"
    answered: ClassVar[bool] = False
    asked: bool = True
    retriable: bool = False
    answer: "KeptAnswer | None" = None
    is_of_every_key: bool = False
    may_have_happened: bool = False

    def __init__(self, source: str, message: str, *, counts: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.service = source
        self.message = message
        self.counts = counts
        self.retry_after = retry_after


def is_outcome_unknown(error: SourceError) -> bool:
    """Whether a write that failed in this way may have been executed.

    A service that refuses a write (4xx, 503) has not executed it. Of any other answer, or none, that can't be said.
    """
    if isinstance(error, NotReached):
        return error.sent
    if isinstance(error, TimedOut):
        return error.asked
    if isinstance(error, BadAnswer):
        return error.status is None or not 400 <= error.status < 500
    return False


class NotSendable(SourceError):
    """The call can't be sent as an HTTP request: a header's value or a target is too long, for example."""

    def __init__(self, source: str) -> None:
        super().__init__(source, f"The {source} service can't be asked this.")


class TooManyCalls(SourceError):
    """The operation has made as many calls as it may."""

    code = "QUERY_TOO_COMPLEX"
    outcome = "too_many_calls"
    asked = False

    def __init__(self, source: str, most: int) -> None:
        super().__init__(source, f"The operation needs more upstream calls than the {most} that are allowed.")
        self.most = most


class Unavailable(SourceError):
    """The service can't be called now."""

    code = "UPSTREAM_UNAVAILABLE"
    outcome = "unavailable"


class BreakerOpen(Unavailable):
    """Too many recent calls failed: the breaker refuses calls until it is half open."""

    outcome = "breaker_open"
    asked = False

    def __init__(self, source: str, retry_after: float) -> None:
        super().__init__(source, f"The {source} service is not being asked at present.", retry_after=retry_after)


class NoCredentials(Unavailable):
    """The gateway has no valid token of its own for the service."""

    outcome = "no_credentials"
    asked = False

    def __init__(self, source: str) -> None:
        super().__init__(source, f"The {source} service could not be reached.")


class CredentialsRefused(Unavailable):
    """The service answered 401 to the gateway's own credentials. That says nothing about the user's."""

    outcome = "credentials_refused"
    answered = True

    def __init__(self, source: str, *, retriable: bool) -> None:
        super().__init__(source, f"The {source} service could not be reached.")
        self.retriable = retriable


class SourceRateLimited(Unavailable):
    """The client has used the source too often. The gateway refuses; nothing was sent."""

    code = "RATE_LIMITED"
    outcome = "rate_limited"
    asked = False

    def __init__(self, source: str, retry_after: float) -> None:
        super().__init__(source, f"Too many requests for the {source} service.", retry_after=retry_after)


class QueueFull(Unavailable):
    """The bulkhead's limits of running and waiting calls are reached."""

    outcome = "queue_full"
    asked = False

    def __init__(self, source: str) -> None:
        super().__init__(source, f"The {source} service has too many calls waiting.")


class NotReached(Unavailable):
    """No connection, or it broke before a response began. `sent` says whether the service may have received the request."""

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
    """No complete response in time, or no time left for the call."""

    code = "UPSTREAM_TIMEOUT"
    outcome = "timeout"

    def __init__(self, source: str, *, counts: bool, asked: bool = True) -> None:
        super().__init__(source, f"The {source} service took too long.", counts=counts)
        self.asked = self.retriable = asked


class BadAnswer(SourceError):
    """The response breaks the service's contract. `status` is set if the response's status was the reason."""

    outcome = "bad_answer"
    answered = True

    def __init__(self, source: str, *, counts: bool, retriable: bool = False, status: int | None = None) -> None:
        super().__init__(source, f"The {source} service gave an answer that can't be used.", counts=counts)
        self.retriable = retriable
        self.status = status


class Misshapen(BadAnswer):
    """The response is valid JSON of another shape than expected: the service works, but breaks its contract."""

    def __init__(self, source: str) -> None:
        super().__init__(source, counts=False)


class Mismatched(BadAnswer):
    """The response has objects that were not requested: maybe it is another request's. A write's outcome is unknown then."""

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
    """The service refused the request: 400, 404, 409 or 422. `problem` is for logs and for errors that users can correct."""

    outcome = "rejected"
    answered = True

    def __init__(self, source: str, status: int, problem: Problem) -> None:
        super().__init__(source, f"The {source} service gave an answer that can't be used.")
        self.status = status
        self.problem = problem
