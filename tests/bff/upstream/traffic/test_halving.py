"""A batch that the service refuses as a whole costs only the keys that spoil it."""

from collections.abc import Callable, Sequence
from math import ceil, log2
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.upstream.caller import Caller
from bff.upstream.conventions import Problem
from bff.upstream.errors import BadAnswer, Busy, Forbidden, Mismatched, Rejected, SourceError, TimedOut, Unauthenticated
from bff.upstream.traffic.budget import RetryBudget
from bff.upstream.traffic.call import ID, Call, Reply, RequestedKeys
from bff.upstream.traffic.halving import APART_S, HalvingPolicy
from tests.support.fakes import Clock, Heard, make_caller


def rejected() -> SourceError:
    """400."""
    return Rejected("users", 400, Problem())


class Batches:
    """A service that refuses every batch with one of the bad keys, and the policy in front of it."""

    def __init__(self, bad: set[int], error: Callable[[], SourceError] = rejected, *, ratio: float = 1.0) -> None:
        self.bad = bad
        self.error = error
        self.clock = Clock()
        self.heard = Heard()
        self.asked: list[tuple[int, ...]] = []
        self.parts: list[bool] = []
        self.budget = RetryBudget(ratio, self.clock)
        self.policy = HalvingPolicy("users", self.budget, self.heard, self.clock)
        self.caller = make_caller(self.clock)

    async def answer(self, call: Call) -> Reply:
        """Every key that is no bad one."""
        assert call.keyed is not None
        self.budget.add_call()
        self.asked.append(call.keyed.keys)
        self.parts.append(call.is_part)
        if self.bad & set(call.keyed.keys):
            raise self.error()
        return Reply(200, {key: f"user {key}" for key in call.keyed.keys})

    def call(self, caller: Caller, keys: Sequence[Any]) -> Call:
        """A batch."""
        keyed = RequestedKeys(ID, tuple(keys), self.call, 200)
        return Call("GET", "/users", "/users", caller, lambda _: None, keyed=keyed)

    async def load(self, *keys: int) -> dict[int, Any]:
        """The values of the keys. The budget is that of a busy source."""
        for _ in range(100):
            self.budget.add_call()
        reply = await self.policy(self.call(self.caller, keys), self.answer)
        values: dict[int, Any] = reply.value
        return values

    def bad_of(self, values: dict[int, Any]) -> set[int]:
        """The keys with an error."""
        return {key for key, value in values.items() if isinstance(value, SourceError)}


@given(number=st.integers(2, 200), data=st.data())
async def test_one_bad_key_costs_one_key(number: int, data: st.DataObject) -> None:
    """Wherever it is, in at most log2(n) + 1 more calls."""
    bad = data.draw(st.integers(1, number))
    service = Batches({bad})
    values = await service.load(*range(1, number + 1))
    assert service.bad_of(values) == {bad}
    assert set(values) == set(range(1, number + 1))
    assert len(service.asked) - 1 <= ceil(log2(number)) + 1
    assert service.parts == [False] + [True] * (len(service.asked) - 1)


@pytest.mark.parametrize(
    "error",
    [
        rejected,
        lambda: Rejected("users", 404, Problem()),
        lambda: Rejected("users", 422, Problem()),
        lambda: Forbidden("users"),
        lambda: BadAnswer("users", counts=False, status=413),
        lambda: BadAnswer("users", counts=False, status=414),
        lambda: BadAnswer("users", counts=True, status=500),
    ],
)
async def test_refusals_that_may_lie_in_a_key_are_halved(error: Callable[[], SourceError]) -> None:
    """The service answered, and does so for other keys."""
    service = Batches({3}, error)
    assert service.bad_of(await service.load(1, 2, 3, 4)) == {3}


@pytest.mark.parametrize(
    "error",
    [
        lambda: Busy("users", 503, None),
        lambda: Busy("users", 429, None),
        lambda: TimedOut("users", counts=True),
        lambda: Unauthenticated("users"),
        lambda: Mismatched("users"),
        lambda: BadAnswer("users", counts=True, retriable=True, status=502),
        lambda: BadAnswer("users", counts=True),
        lambda: BadAnswer("users", counts=True, status=302),
    ],
)
async def test_other_failures_concern_all_keys(error: Callable[[], SourceError]) -> None:
    """One call."""
    service = Batches({3}, error)
    with pytest.raises(SourceError):
        await service.load(1, 2, 3, 4)
    assert len(service.asked) == 1


async def test_a_single_key_is_not_halved() -> None:
    """It has its error."""
    service = Batches({3})
    with pytest.raises(Rejected):
        await service.load(3)
    assert len(service.asked) == 1


async def test_a_service_that_refuses_everything() -> None:
    """The error is that of all keys, after a bounded number of calls."""
    service = Batches(set(range(64)))
    with pytest.raises(Rejected):
        await service.load(*range(64))
    assert len(service.asked) <= 1 + 7


async def test_without_budget_nothing_is_halved() -> None:
    """A ratio of 0 turns it off."""
    service = Batches({3}, ratio=0.0)
    with pytest.raises(Rejected):
        await service.load(1, 2, 3, 4)
    assert len(service.asked) == 1


async def test_known_bad_keys_are_requested_apart() -> None:
    """The next load takes one more call, and another bad key is found by it. After half a minute all are together again."""
    service = Batches({3, 30})
    assert service.bad_of(await service.load(*range(1, 33))) >= {3}
    service.asked.clear()
    assert service.bad_of(await service.load(*range(1, 33))) == {3, 30}
    service.asked.clear()
    assert service.bad_of(await service.load(*range(1, 33))) == {3, 30}
    assert len(service.asked) <= 5
    service.clock.now += APART_S
    service.bad.clear()
    service.asked.clear()
    assert service.bad_of(await service.load(*range(1, 33))) == set()
    assert len(service.asked) == 1


async def test_a_key_that_is_good_again_rejoins_the_others() -> None:
    """As soon as it succeeds apart."""
    service = Batches({3})
    await service.load(1, 2, 3, 4)
    service.bad.clear()
    assert service.bad_of(await service.load(1, 2, 3, 4)) == set()
    service.asked.clear()
    await service.load(1, 2, 3, 4)
    assert service.asked == [(1, 2, 3, 4)]


async def test_with_little_budget_the_next_load_continues() -> None:
    """The keys that could not be separated are requested apart from the others, and halved in their turn."""
    service = Batches({100}, ratio=0.01)
    service.caller = make_caller(service.clock, left_s=1000.0)
    keys = range(1, 201)
    sizes = []
    for _ in range(3):
        service.clock.now += 11  # the budget's window is over
        try:
            reply = await service.policy(service.call(service.caller, keys), service.answer)
        except Rejected:
            sizes.append(200)
        else:
            sizes.append(len(service.bad_of(reply.value)))
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


async def test_after_the_deadline_nothing_is_halved() -> None:
    """No time is left for it."""
    service = Batches({3})
    service.caller = make_caller(service.clock, left_s=0.0)
    with pytest.raises(Rejected):
        await service.load(1, 2, 3, 4)
    assert len(service.asked) == 1
