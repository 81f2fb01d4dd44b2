"""What each answer of a service means: every status, with every kind of body, to every kind of call.

The rules stand here once more, in a few lines, beside the code that they check.
"""

from dataclasses import dataclass

import pytest

from bff.upstream.errors import Rejected, SourceError
from bff.upstream.traffic.retry import RetryOptions
from bff.upstream.traffic.stack import TrafficOptions
from bff.upstream.wire import WireReply, WireRequest
from datasources.orders import Orders
from tests.support.fakes import Clock, Heard, make_caller, make_stack

ORDER = b'{"id":1,"userId":1,"status":"paid","currency":"USD","total":1,"createdAt":"2026-02-01T00:01:00Z","items":[]}'
FITTING = {
    "one": ORDER,
    "batch": b'{"items":[' + ORDER + b"]}",
    "page": b'{"items":[' + ORDER + b'],"nextCursor":null,"total":1}',
    "write": ORDER,
}
BODIES = ("absent", "empty", "fits", "does not fit", "no JSON")
STATUSES = range(200, 600)


@dataclass(frozen=True)
class Meaning:
    """What an answer means.

    Attributes:
        code: of the client's error; None for a value, also that of a missing object.
        counts: whether it counts against the service.
        again: whether the call is repeated.
        unknown: for a write that failed, whether it may have been executed.
    """

    code: str | None = None
    counts: bool = False
    again: bool = False
    unknown: bool = False


VALUE = Meaning()


def meaning(kind: str, status: int, body: str) -> Meaning:
    """The rules."""
    is_write = kind == "write"
    is_success = status == 200 or (status == 201 and is_write)
    is_missing = status == 404 and kind in {"one", "batch"}  # a batch is halved, until each key is requested alone
    if is_missing or (is_success and body == "fits"):
        return VALUE
    if is_success:
        return Meaning("UPSTREAM_ERROR", counts=body != "does not fit", unknown=is_write)
    if status in {401, 403}:
        return Meaning("UNAUTHENTICATED" if status == 401 else "FORBIDDEN")
    if status in {429, 503}:
        return Meaning("UPSTREAM_UNAVAILABLE", counts=status == 503, again=True)
    if 400 <= status < 500:
        return Meaning("UPSTREAM_ERROR")
    return Meaning("UPSTREAM_ERROR", counts=True, again=status in {502, 504}, unknown=is_write)


class Service:
    """A wire that gives one answer to everything. `asked` counts requests."""

    def __init__(self, reply: WireReply) -> None:
        self.reply = reply
        self.asked = 0

    async def send(self, _: WireRequest, *, max_response_bytes: int) -> WireReply:
        self.asked += 1
        return self.reply

    async def aclose(self) -> None:
        """Nothing to close."""


def answer(kind: str, status: int, body: str) -> WireReply:
    """The answer. It may be kept for a minute."""
    content = {"absent": b"", "empty": b"", "fits": FITTING[kind], "does not fit": b'{"id":"x"}', "no JSON": b"<html>"}[body]
    headers = {"cache-control": "max-age=60"}
    if body != "absent":
        headers["content-type"] = "application/json"
    return WireReply(status, headers, content)


async def failure_of(orders: Orders, clock: Clock, kind: str) -> SourceError | None:
    """The error of one call of that kind, or of the object with the id 1. None if it succeeds."""
    caller = make_caller(clock)
    try:
        if kind == "write":
            await orders.cancel(caller, 1, key="k")
        elif kind == "page":
            await orders.page.load(caller, limit=20, cursor=None)
        else:
            order = (await orders.by_id.load(caller, [1] if kind == "one" else [1, 2])).get(1)
            return order if isinstance(order, SourceError) else None
    except SourceError as error:
        return error
    return None


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("kind", FITTING)
async def test_every_status_means_what_the_rules_say(kind: str, body: str) -> None:
    """What the client gets, what the breaker counts, whether it is tried again, what is kept."""
    # No delay between attempts; batches are not halved, since a budget of one attempt is spent on the retry.
    options = TrafficOptions(retry=RetryOptions(attempts=2, budget_ratio=1.0, base_delay_s=1e-9))
    for status in STATUSES:
        expected = meaning(kind, status, body)
        service, clock, heard = Service(answer(kind, status, body)), Clock(), Heard()
        orders = Orders(make_stack(service, clock, heard, options=options), forward_identity=False)
        error = await failure_of(orders, clock, kind)
        found = VALUE if error is None else Meaning(error.code, error.counts, error.retriable, error.may_have_happened)
        assert found == expected, (status, found)
        assert error is None or isinstance(error, Rejected) is (status in {400, 404, 409, 422}), status
        if kind != "batch":  # a batch that is refused is halved: see traffic/test_halving.py
            assert service.asked == (2 if expected.again else 1), status
        asked = service.asked
        await failure_of(orders, clock, kind)
        is_kept = expected == VALUE and kind != "write" and (kind, status) != ("batch", 404)
        assert (service.asked == asked) is is_kept, status
