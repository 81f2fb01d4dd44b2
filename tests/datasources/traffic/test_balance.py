"""Balance: smooth weighted round robin, and what is remembered of each instance."""

from collections.abc import Sequence

import pytest

from datasources.errors import BadAnswer, Busy, NotReached, Problem, Rejected, SourceError, TimedOut
from datasources.traffic.balance import Balance, Instance, InstanceOptions
from datasources.traffic.call import Call, Reply
from tests.datasources.fakes import Clock, make_call, make_caller


class Instances:
    """An attempt that notes who was asked, and fails at those it is told to."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.failing: dict[int, BaseException] = {}

    async def __call__(self, call: Call, instance: Instance) -> Reply:
        self.asked.append(instance.number)
        if instance.number in self.failing:
            raise self.failing[instance.number]
        return Reply(200, instance.url)


def balanced(instances: Instances, weights: Sequence[int]) -> Balance:
    """A balance over instances of those weights."""
    return Balance([InstanceOptions(f"http://{n}", weight) for n, weight in enumerate(weights)], instances)


async def ask(balance: Balance, clock: Clock, times: int = 1) -> None:
    """Make so many calls; what fails is passed over."""
    for _ in range(times):
        try:
            await balance(make_call(make_caller(clock)))
        except SourceError:
            continue


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ([1], [1, 1, 1]),
        ([1, 1], [1, 2, 1, 2]),
        ([1, 1, 1], [1, 2, 3, 1, 2, 3]),
        ([5, 1, 1], [1, 1, 2, 1, 3, 1, 1]),  # nginx's own example of the algorithm
        ([2, 1], [1, 2, 1, 1, 2, 1]),
        ([3, 0, 1], [1, 1, 3, 1]),
        ([0, 1], [2, 2, 2]),
    ],
)
async def test_turns_follow_the_weights_smoothly(clock: Clock, weights: list[int], turns: list[int]) -> None:
    """Each gets its share, spread out: never all of a heavy one's turns in a row; weight 0 gets none."""
    instances = Instances()
    await ask(balanced(instances, weights), clock, len(turns))
    assert instances.asked == turns


@pytest.mark.parametrize("weights", [[7, 3, 2, 1], [1, 0, 1000], [10, 10, 1]])
async def test_each_round_gives_each_its_exact_share(clock: Clock, weights: list[int]) -> None:
    """In as many calls as the weights add up to, each instance gets as many as its weight says. Every round."""
    instances = Instances()
    balance = balanced(instances, weights)
    for _ in range(2):
        instances.asked.clear()
        await ask(balance, clock, sum(weights))
        assert [instances.asked.count(number) for number in range(1, len(weights) + 1)] == weights


@pytest.mark.parametrize("url", ["http://users.test:1/base", "http://users.test:1/base/"])
async def test_a_url_ends_before_the_slash(clock: Clock, url: str) -> None:
    """A target begins with a slash, so that a URL's last one would be one too many."""
    balance = Balance([InstanceOptions(url)], Instances())
    assert (await balance(make_call(make_caller(clock)))).value == "http://users.test:1/base"


SICK = [
    NotReached("users", sent=False),
    TimedOut("users", counts=True),
    Busy("users", 503, None),
    BadAnswer("users", counts=True),
]
ALIVE = [Busy("users", 429, None), BadAnswer("users", counts=False), Rejected("users", 409, Problem())]


@pytest.mark.parametrize("sickness", SICK, ids=repr)
async def test_what_counts_makes_it_unhealthy_until_it_answers(clock: Clock, sickness: SourceError) -> None:
    """An instance is unhealthy from a failure that counts to its next answer, and the others have no part in it."""
    instances = Instances()
    balance = balanced(instances, [1, 1])
    assert [instance.healthy for instance in balance.instances] == [True, True]
    instances.failing[2] = sickness
    await ask(balance, clock, 4)
    assert [instance.healthy for instance in balance.instances] == [True, False]
    assert instances.asked == [1, 2, 1, 2]  # told, not yet avoided: the breaker guards the source as a whole
    instances.failing.clear()
    await ask(balance, clock, 2)
    assert [instance.healthy for instance in balance.instances] == [True, True]


@pytest.mark.parametrize("answered", ALIVE, ids=repr)
async def test_any_answer_that_does_not_count_shows_health(clock: Clock, answered: SourceError) -> None:
    """A no is an answer: it makes an instance healthy again."""
    instances = Instances()
    balance = balanced(instances, [1])
    for error, healthy in ((SICK[0], False), (answered, True)):
        instances.failing[1] = error
        await ask(balance, clock)
        assert balance.instances[0].healthy is healthy


@pytest.mark.parametrize("healthy", [True, False])
async def test_a_call_cut_short_shows_nothing(clock: Clock, healthy: bool) -> None:
    """A timeout of the caller's own making leaves the instance as it was thought to be."""
    instances = Instances()
    balance = balanced(instances, [1])
    instances.failing = {} if healthy else {1: SICK[0]}
    await ask(balance, clock)
    instances.failing[1] = TimedOut("users", counts=False)
    await ask(balance, clock)
    assert balance.instances[0].healthy is healthy


def test_an_instance_shows_its_number_and_not_its_address() -> None:
    """What is logged of an instance never tells where it is."""
    assert repr(Instance(2, InstanceOptions("http://10.11.12.13:8001", 3))) == "<Instance 2 weight=3 healthy=True>"
