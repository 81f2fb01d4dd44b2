"""An exchange, and what a request may be assumed to be before the gate has looked at it."""

import time

import pytest

from bff.request.exchange import ANONYMOUS, UNCHARGED, Exchange, headers_of, open_exchange
from bff.request.http import MediaType
from bff.upstream.caller import Deadline
from tests.support.endpoints import endpoint


async def no_body() -> dict[str, object]:
    """ASGI's `receive`, which must not be called."""
    raise AssertionError("the body is not read")


def opened(*headers: tuple[bytes, bytes]) -> Exchange:
    """The exchange of a request with those headers."""
    scope = {"method": "POST", "headers": headers}
    return open_exchange(
        endpoint(),
        scope,
        no_body,
        headers_of(scope),
        Deadline.after(1.0, time.monotonic),
        "192.0.2.1",
    )


def test_headers_keep_all_their_values() -> None:
    """In order; the values of one header are joined by commas (RFC 9110, section 5.3)."""
    exchange = opened((b"accept", b"a"), (b"x", b"1"), (b"accept", b"b"))
    assert exchange.headers == {b"accept": [b"a", b"b"], b"x": [b"1"]}
    assert exchange.header(b"accept") == b"a, b"
    assert exchange.header(b"x") == b"1"
    assert exchange.header(b"nothing") is None


@pytest.mark.parametrize(
    ("accept", "accepted", "media"),
    [
        (b"application/graphql-response+json", MediaType.RESPONSE, MediaType.RESPONSE),
        (b"*/*", MediaType.JSON, MediaType.JSON),
        (b"text/html", None, MediaType.JSON),
    ],
)
def test_the_media_type_is_known_from_the_head(accept: bytes, accepted: MediaType | None, media: MediaType) -> None:
    """So that even the first refusal has the media type that the client prefers; JSON if it accepts neither."""
    exchange = opened((b"accept", accept))
    assert (exchange.accepted, exchange.media) == (accepted, media)


async def test_a_new_exchange_is_anonymous_and_charged_nothing() -> None:
    """What holds before a step of the gate has run is a value, and not the absence of one."""
    exchange = opened()
    assert exchange.client is ANONYMOUS
    assert exchange.client.is_anonymous
    assert exchange.ledger is UNCHARGED
    assert not exchange.ledger.counts_cost
    assert exchange.ledger.headers() == ()
    await exchange.ledger.charge_requests(2)
    await exchange.ledger.charge_cost(10)
    await exchange.ledger.correct_cost(-10)
    assert dict(exchange.calls) == {}
