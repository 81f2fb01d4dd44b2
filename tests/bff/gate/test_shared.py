"""Counts and documents in a real Redis: the same counts as in memory, shared by gateways, and a Redis that fails."""

import asyncio
import logging
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest

from bff.gate.counts import Bucket, Charge, Count, InMemory, Period, Quota, SlidingWindow, period_end
from bff.gate.documents import Documents
from bff.gate.manifests import TrustedDocuments, hash_of
from bff.gate.script import CLOCK, COUNT
from bff.gate.shared import TICK_S, WAIT_S, Shared, SharedCounts
from bff.gate.shared_state import SharedStateBudget, SharedStateUnavailable
from bff.upstream.caller import Deadline
from tests.support.redis import RunningRedis

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server; .ci/run installs it")

BUCKET = Bucket("requests", 20, 10.0)
LONG_WAIT_S = 10.0
"""Long enough that no result depends on the speed of the machine."""


def patient(redis: RunningRedis) -> Shared:
    """Shared state for which requests wait up to `LONG_WAIT_S`."""
    return Shared(redis.url, wait_s=LONG_WAIT_S)


async def taken(shared: Shared, charges: list[Charge]) -> list[Count]:
    """The counts after the charges."""
    return await shared.counted(charges, SharedStateBudget())


async def found(shared: Shared, name: str) -> bytes | None:
    """The document of that name."""
    return await shared.get("document", name, SharedStateBudget())


async def test_redis_counts_as_memory_does(redis: RunningRedis) -> None:
    """Both grant the same charges, with the same units left and the same times."""
    shared, memory = patient(redis), InMemory()
    day, month = Quota("day", 6, Period.DAY), Quota("month", 25, Period.MONTH)
    rows = [
        [Charge(("a",), BUCKET, 4), Charge(("b",), day, 1), Charge(("c",), month, 5)],
        [Charge(("a",), BUCKET, 4), Charge(("b",), day, 9)],
        [Charge(("a",), BUCKET, 100)],
        [Charge(("c",), month, 20), Charge(("b",), day, 5)],
        [Charge(("c",), month, 1)],
    ]
    try:
        for charges in rows:
            here, there = await memory.take(charges), await taken(shared, charges)
            for one, other in zip(here, there, strict=True):
                assert (one.retry_after_s > 0) is (other.retry_after_s > 0)
                assert other.remaining == pytest.approx(one.remaining, abs=1)
                assert other.reset_s == pytest.approx(one.reset_s, abs=2)
                assert other.retry_after_s == pytest.approx(one.retry_after_s, abs=2)
        assert shared.settle_later([Charge(("c",), month, -30)])
        (count,) = await taken(shared, [Charge(("c",), month, 0)])
        assert count.remaining == 25
    finally:
        await shared.aclose()


@pytest.mark.parametrize(
    "moment", ["2026-11-24T10:00:00", "2028-02-29T23:59:59", "2026-12-31T00:00:00", "2100-02-28T12:00:00"]
)
async def test_a_month_ends_in_redis_as_it_does_here(redis: RunningRedis, moment: str) -> None:
    """The script computes the same calendar as the standard library, with leap years."""
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    shared = Shared(redis.url)
    script = COUNT.replace(CLOCK, f"local now = {at}")
    try:
        reply: Any = await shared._redis.eval(script, 1, "k", "1", "month", 1, 10, 0)  # type: ignore[misc, unused-ignore]
        assert float(reply[1]) == pytest.approx(period_end(Period.MONTH, at) - at, abs=0.01)
    finally:
        await shared.aclose()


async def test_concurrent_commands_share_a_round_trip(redis: RunningRedis) -> None:
    """Each gets its own reply. A cancelled request doesn't affect the others."""
    shared = patient(redis)
    await shared.begin()
    await taken(shared, [Charge(("a",), BUCKET, 0)])  # the script is known now
    before = _packets(redis)
    for number in range(100):
        shared.put_later("document", str(number), b"%d" % number, for_s=60)
    assert await found(shared, "7") == b"7"
    assert _packets(redis) - before <= 4
    cancelled = asyncio.create_task(found(shared, "0"))
    others = [asyncio.create_task(found(shared, str(number))) for number in range(1, 100)]
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await asyncio.gather(*others) == [b"%d" % number for number in range(1, 100)]
    await shared.aclose()


def _packets(redis: RunningRedis) -> int:
    """The number of times that Redis has read from a socket."""
    info = subprocess.run(["redis-cli", "-p", str(redis.port), "info", "stats"], capture_output=True, check=True, text=True)
    fields = dict(line.split(":", 1) for line in info.stdout.splitlines() if ":" in line)
    return int(fields["total_reads_processed"])


async def test_the_script_is_loaded_again_after_redis_has_lost_it(redis: RunningRedis) -> None:
    """As after a restart. Each charge of that round trip is made once."""
    shared = patient(redis)
    bucket = Bucket("requests", 20, 0.001)
    charge = [Charge(("a",), bucket, 1)]
    await taken(shared, charge)
    await shared._redis.script_flush()  # type: ignore[no-untyped-call, unused-ignore]
    counts = await asyncio.gather(*(taken(shared, charge) for _ in range(5)))
    assert [round(count.remaining) for (count,) in counts] == [18, 17, 16, 15, 14]
    await shared.aclose()


async def test_several_gateways_together_grant_the_limit(redis: RunningRedis) -> None:
    """Two gateways and fifty concurrent clients: exactly the burst is granted."""
    gateways = [SharedCounts(patient(redis), InMemory()) for _ in range(2)]
    bucket = Bucket("requests", 200, 0.001)
    granted = 0

    async def client(number: int) -> None:
        nonlocal granted
        for _ in range(10):
            (count,) = await gateways[number % 2].take([Charge(("web", "user", "1"), bucket, 1)])
            granted += count.retry_after_s == 0

    await asyncio.gather(*(client(number) for number in range(50)))
    assert granted == 200
    for each in gateways:
        await each._shared.aclose()


async def test_without_redis_a_gateway_uses_its_own_counts_and_logs_it(
    redis: RunningRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """One line when Redis becomes unavailable, and one when it is available again."""
    caplog.set_level(logging.INFO, "bff.shared")
    changes: list[bool] = []
    shared = Shared(redis.url, changes.append, wait_s=LONG_WAIT_S)
    counts = SharedCounts(shared, InMemory())
    one = [Charge(("a",), BUCKET, 1)]
    await shared.begin()
    await counts.take(one)
    assert (changes, shared.is_available) == ([True], True)
    redis.stop()
    for _ in range(3):
        (count,) = await counts.take(one)
        assert count.retry_after_s == 0
    await counts.settle(one)
    assert changes == [True, False]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    redis.start()
    assert shared._reconnecting is not None
    async with asyncio.timeout(10):
        await shared._reconnecting
    (count,) = await counts.take(one)
    assert count.remaining == pytest.approx(19, abs=0.5)
    assert changes == [True, False, True]
    await shared.aclose()


class Silent:
    """A port that accepts connections and never answers."""

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0.05)
        self._server.close()


async def test_a_redis_that_hangs_delays_requests_only_by_their_budget() -> None:
    """All waiting requests stop waiting together, when their budget is used up. Later requests don't wait at all."""
    async with Silent() as url:
        shared = Shared(url)
        budgets = [SharedStateBudget() for _ in range(20)]
        asked = (shared.get("document", str(number), each) for number, each in enumerate(budgets))
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in results] == [SharedStateUnavailable] * 20
        assert [each.waited for each in budgets] == [round(WAIT_S / TICK_S)] * 20
        late = SharedStateBudget()
        with pytest.raises(SharedStateUnavailable):
            await shared.get("document", "a", late)
        assert late.waited == 0, "it is known to be unavailable"
        await shared.aclose()


async def test_a_request_has_one_budget_for_all_its_commands() -> None:
    """Its waits add up, concurrent waits count once, and its deadline ends them earlier."""
    async with Silent() as url:
        shared = Shared(url, wait_s=1.0)
        one, other = SharedStateBudget(), SharedStateBudget()
        one.waited = round(1.0 / TICK_S) - 2
        late = SharedStateBudget(Deadline.after(TICK_S * 1.5, asyncio.get_running_loop().time))
        waiting = asyncio.create_task(shared.get("document", "x", other))
        asked = (shared.get("document", str(number), each) for number, each in enumerate([one, one, one, late]))
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in results] == [SharedStateUnavailable] * 4
        assert one.waited == round(1.0 / TICK_S)
        assert late.waited == 2
        assert not waiting.done()
        before = shared._queue.copy()
        with pytest.raises(SharedStateUnavailable):
            await shared.get("document", "z", one)
        assert shared._queue == before, "without a budget no command is queued"
        await shared.aclose()
        with pytest.raises(SharedStateUnavailable):
            await waiting


async def test_after_three_slow_round_trips_in_a_row_redis_is_unavailable(redis: RunningRedis) -> None:
    """A fast one in between starts the count again."""
    shared = patient(redis)
    slow = [False]
    round_trip = shared._round_trip

    async def delayed(commands: Any) -> list[Any]:
        if slow[0]:
            shared._ticks = shared._slow_ticks
        return await round_trip(commands)

    shared._round_trip = delayed  # type: ignore[method-assign]
    await shared.begin()
    for slow[0] in (True, True, False, True, True):
        await found(shared, "a")
    assert shared.is_available
    slow[0] = True
    await found(shared, "a")
    assert not shared.is_available
    with pytest.raises(SharedStateUnavailable):
        await found(shared, "a")
    await shared.aclose()


@pytest.mark.parametrize(
    "reply",
    [
        None,
        1,
        "3",
        b"1",
        [],
        [b"1", b"2"],
        [b"1", b"2", b"x"],
        [None] * 3,
        [b"nan", b"1", b"1"],
        [b"inf"] * 3,
        [[1], 2, 3],
        {},
    ],
)
async def test_an_unexpected_reply_is_no_error(reply: Any) -> None:
    """The request goes on with this process's own counts."""
    shared = Shared("redis://127.0.0.1:1/0")

    async def pipeline(commands: Any) -> list[Any]:
        return [reply] * len(commands)

    shared._pipeline = pipeline  # type: ignore[method-assign]
    (count,) = await SharedCounts(shared, InMemory()).take([Charge(("a",), BUCKET, 1)])
    assert count.remaining == 19
    if not isinstance(reply, bytes | None):
        with pytest.raises(SharedStateUnavailable):
            await found(shared, "a")
    await shared.aclose()


async def test_any_error_of_the_client_library_ends_the_wait() -> None:
    """Also for the requests that are queued behind it."""
    shared = Shared("redis://127.0.0.1:1/0")

    async def pipeline(_: Any) -> list[Any]:
        await asyncio.sleep(0)
        raise RuntimeError("unexpected")

    shared._pipeline = pipeline  # type: ignore[method-assign, assignment]
    results = await asyncio.gather(*(found(shared, str(number)) for number in range(300)), return_exceptions=True)
    assert {type(each) for each in results} == {SharedStateUnavailable}
    assert len({id(each) for each in results}) == 300, "each has an exception of its own"
    await shared.aclose()


async def test_at_most_a_thousand_unawaited_commands_are_queued(redis: RunningRedis) -> None:
    """Further ones are dropped. Commands that requests wait for are still answered."""
    shared = patient(redis)
    await shared.begin()
    for number in range(1500):
        shared.put_later("document", str(number), b"1", for_s=60)
    assert shared._unawaited == 1000
    assert await found(shared, "999") == b"1"
    assert await found(shared, "1000") is None
    assert shared._unawaited == 0
    await shared.aclose()


async def test_setting_the_clock_of_redis_back_blocks_no_client(redis: RunningRedis) -> None:
    """A bucket with a time in the future refills from now on, and a quota of another period is not applied."""
    shared = Shared(redis.url)
    now = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()

    async def charged(at: float, kind: str, key: str, per_s: float) -> tuple[float, float]:
        script = COUNT.replace(CLOCK, f"local now = {at}")
        reply: Any = await shared._redis.eval(script, 1, key, "1", kind, 3, 3, per_s)  # type: ignore[misc, unused-ignore]
        return float(reply[0]), float(reply[2])

    for kind in ("bucket", "day", "month"):
        assert await charged(now, kind, kind, 1) == (0, 0)
    assert await charged(now - 40 * 86_400, "bucket", "bucket", 1) == (0, 3)
    assert await charged(now - 40 * 86_400 + 3, "bucket", "bucket", 1) == (0, 0)
    assert await charged(now - 40 * 86_400, "day", "day", 1) == (0, 0)
    assert await charged(now - 40 * 86_400, "month", "month", 1) == (0, 0)
    await shared.aclose()


async def test_a_document_registered_at_one_gateway_is_known_to_all(redis: RunningRedis) -> None:
    """A document that Redis holds under a wrong hash is not used."""
    one, other = patient(redis), patient(redis)
    text = "{ __typename }"
    digest = hash_of(text)
    nothing = TrustedDocuments([])
    first, second = Documents("web", "any", nothing, one), Documents("web", "any", nothing, other)
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    assert await first.text(text, None, persisted) == (text, digest)
    await first.register(digest, text)
    assert await found(one, f"web:{digest}") == text.encode()  # it was sent, though no request waited for it
    assert await second.text(None, None, persisted) == (text, None)
    one.put_later("document", f"web:{hash_of('{ a }')}", b"{ evil }", for_s=60)
    assert await found(one, f"web:{hash_of('{ a }')}") == b"{ evil }"
    assert await second._find(hash_of("{ a }"), SharedStateBudget()) is None
    await one.aclose()
    await other.aclose()


async def test_a_sliding_window_in_redis(redis: RunningRedis) -> None:
    """As in memory: the quota at once, never more in the window, together with other limits or not at all."""
    shared = patient(redis)
    window = SlidingWindow("requests-second", 5, 2.0)
    one = [Charge(("a",), window, 1)]
    counts = [(await taken(shared, one))[0] for _ in range(7)]
    assert [count.retry_after_s == 0 for count in counts] == [True] * 5 + [False] * 2
    assert [round(count.remaining) for count in counts] == [4, 3, 2, 1, 0, 0, 0]
    assert 0 < counts[-1].retry_after_s <= 2.1
    assert 0 < counts[0].reset_s <= 2.1
    empty = Bucket("requests", 1, 0.001)
    await taken(shared, [Charge(("b",), empty, 1)])
    other = [Charge(("c",), window, 1), Charge(("b",), empty, 1)]
    for _ in range(3):
        refused = await taken(shared, other)
        assert [count.retry_after_s == 0 for count in refused] == [True, False]
        assert round(refused[0].remaining) == 5
    await asyncio.sleep(counts[-1].retry_after_s)
    (again,) = await taken(shared, one)
    assert again.retry_after_s == 0
    await shared.aclose()
