"""Keys of different requests share a call. A key that the service can't handle fails only its own request."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support.faults import json_answer
from tests.support.gateways import RunningGateway
from tests.support.services import Tapped

BAD = 13
STRANGERS = [1, 2, 3, 4, 5, 6, 7, 8, 9]
Answer = Callable[[], bytes | None]
ANSWERS: dict[str, Answer] = {
    "400": lambda: json_answer(b"{}", status="400 Bad Request"),
    "403": lambda: json_answer(b"{}", status="403 Forbidden"),
    "422": lambda: json_answer(b"{}", status="422 Unprocessable Content"),
    "500": lambda: json_answer(b"{}", status="500 Internal Server Error"),
    "no JSON": lambda: json_answer(b"<html>"),
}
SETTINGS = {"BFF_SOURCES__PRODUCTS__RETRY__ATTEMPTS": "1"}


class Odd:
    """A products service that does something odd to each call with a key of `bad`; all calls' ids are noted."""

    def __init__(self, services: Tapped, answer: Answer, bad: Callable[[int], bool] = lambda key: key == BAD) -> None:
        self._data = services.data
        self._answer = answer
        self._is_bad = bad
        self.asked: list[list[int]] = []
        services.ports["products"].custom = self

    def __call__(self, request: bytes) -> bytes | None:
        target = request.split(b" ", 2)[1].decode()
        ids = [int(each) for each in re.findall(r"\d+", target)]
        self.asked.append(ids)
        if any(map(self._is_bad, ids)):
            return self._answer()
        rows = self._data.products.json(ids)
        return json_answer(b'{"items":[' + rows + b"]}" if "?" in target else rows)

    def take(self) -> list[list[int]]:
        """The calls since the last time, sorted."""
        asked, self.asked = sorted(self.asked), []
        return asked


def ask_at_once(gateway: RunningGateway, ids: Sequence[int]) -> list[Any]:
    """The products' names, or the errors' codes, of operations that run in one turn of the event loop."""
    # Otherwise a slow machine spreads them over several turns.
    gateway.app.served.endpoints["web"].plans.pace._clock = lambda: 0.0
    answers = gateway.post("web", [{"query": f'{{ product(id: "{each}") {{ name }} }}'} for each in ids]).json()
    return [
        each["errors"][0]["extensions"]["code"] if "errors" in each else each["data"]["product"]["name"] for each in answers
    ]


def names(ids: Sequence[int]) -> list[str]:
    """The names of those products."""
    return [f"Product {each}" for each in ids]


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("first", [True, False], ids=["leads", "follows"])
def test_one_bad_key_fails_alone(start_gateway: StartGateway, services: Tapped, kind: str, first: bool) -> None:
    """A batch that is refused is halved; after any other failure the nine other keys are loaded in one more call each.

    Later the bad key has a call of its own.
    """
    gateway = start_gateway(**SETTINGS)
    service = Odd(services, ANSWERS[kind])
    ids = [BAD, *STRANGERS] if first else [*STRANGERS, BAD]
    result = "FORBIDDEN" if kind == "403" else "UPSTREAM_ERROR"
    expected = [result if each == BAD else f"Product {each}" for each in ids]
    assert ask_at_once(gateway, ids) == expected
    asked = service.take()
    if kind == "no JSON":
        assert asked == sorted([ids, *([each] for each in ids)])
    else:
        assert ids in asked
        assert len(asked) <= 1 + 5
    assert ask_at_once(gateway, ids) == expected
    assert service.take() == [STRANGERS, [BAD]]


def test_a_key_that_was_loaded_alone_joins_the_others_again(start_gateway: StartGateway, services: Tapped) -> None:
    """A key that was separated after a fault of its service shares calls again once it was loaded."""
    gateway = start_gateway(**SETTINGS)
    service = Odd(services, ANSWERS["400"])
    ask_at_once(gateway, [*STRANGERS, BAD])
    service = Odd(services, ANSWERS["400"], lambda _: False)
    assert ask_at_once(gateway, [*STRANGERS, BAD]) == names([*STRANGERS, BAD])
    assert service.take() == [STRANGERS, [BAD]]
    assert ask_at_once(gateway, [*STRANGERS, BAD]) == names([*STRANGERS, BAD])
    assert service.take() == [[*STRANGERS, BAD]]


def test_a_slow_key_does_not_slow_others_down(start_gateway: StartGateway, services: Tapped) -> None:
    """Requests that wait for a hanging call load their keys alone in the remaining time. The next time they don't wait."""
    gateway = start_gateway(**SETTINGS, BFF_SOURCES__PRODUCTS__TIMEOUT_S="1")
    service = Odd(services, lambda: None)
    for asked in ([[1], [BAD], [BAD, 1]], [[1], [BAD]]):
        assert ask_at_once(gateway, [BAD, 1]) == ["UPSTREAM_TIMEOUT", "Product 1"]
        assert service.take() == asked


@pytest.mark.parametrize(("kind", "most"), [("400", 11 * 10 + 1 + 4 * 10), ("500", 20)])
def test_a_service_that_fails_for_every_key(start_gateway: StartGateway, services: Tapped, kind: str, most: int) -> None:
    """After a hundred failures each request makes one call at most. With 5xx the breaker opens after five batches."""
    gateway = start_gateway(**SETTINGS)
    service = Odd(services, ANSWERS[kind], lambda _: True)
    for number in range(15):
        codes = ask_at_once(gateway, range(number * 10 + 1, number * 10 + 11))
        assert set(codes) <= {"UPSTREAM_ERROR", "UPSTREAM_UNAVAILABLE"}
    assert len(service.asked) <= most


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_fault_that_depends_on_no_key_is_not_repeated(start_gateway: StartGateway, services: Tapped, status: str) -> None:
    """A busy service doesn't get ten times more calls."""
    gateway = start_gateway(**SETTINGS)
    service = Odd(services, lambda: json_answer(b"{}", status=status))
    assert ask_at_once(gateway, [*STRANGERS, BAD]) == ["UPSTREAM_UNAVAILABLE"] * 10
    assert service.take() == [[*STRANGERS, BAD]]


def test_one_unreadable_object_is_not_loaded_again(start_gateway: StartGateway, services: Tapped) -> None:
    """Only that row fails, so no call is repeated, and its key is not separated."""
    gateway = start_gateway(**SETTINGS)
    body = b'{"items":[{"id":13},' + services.data.products.json([1]) + b"]}"
    service = Odd(services, lambda: json_answer(body))
    assert ask_at_once(gateway, [BAD]) == ["UPSTREAM_ERROR"]
    service.take()
    assert ask_at_once(gateway, [BAD, 1]) == ["UPSTREAM_ERROR", "Product 1"]
    assert service.take() == [[BAD, 1]]
