"""Counts and documents in a real Redis: figures as in memory, one count for several gateways, and a Redis that goes."""

import asyncio
import logging
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest

from bff.gate.away import Away
from bff.gate.documents import Documents
from bff.gate.manifests import TrustedDocuments, hash_of
from bff.gate.rate import Bucket, Charge, InMemory, Period, Quota, period_end
from bff.gate.shared import Shared, SharedCounts
from tests.support.now import now
from tests.support.redis import RunningRedis

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server; .ci/run installs it")

BUCKET = Bucket("requests", 20, 10.0)


async def test_counts_are_those_of_memory(redis: RunningRedis) -> None:
    """Charge for charge: granted or not, what is left, when it is whole again."""
    shared, memory = Shared(redis.url), InMemory()
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
            here, there = await memory.take(charges), await shared.counted(charges, take=True)
            for one, other in zip(here, there, strict=True):
                assert (one.retry_after_s > 0) is (other.retry_after_s > 0)
                assert other.remaining == pytest.approx(one.remaining, abs=1)
                assert other.reset_s == pytest.approx(one.reset_s, abs=2)
                assert other.retry_after_s == pytest.approx(one.retry_after_s, abs=2)
        await shared.counted([Charge(("c",), month, -30)], take=False)
        (count,) = await shared.counted([Charge(("c",), month, 0)], take=True)
        assert count.remaining == 25
    finally:
        await shared.aclose()


@pytest.mark.parametrize(
    "moment", ["2026-11-24T10:00:00", "2028-02-29T23:59:59", "2026-12-31T00:00:00", "2100-02-28T12:00:00"]
)
async def test_a_month_ends_in_redis_as_it_does_here(redis: RunningRedis, moment: str) -> None:
    """The calendar of the script is that of the standard library, leap years and all."""
    from bff.gate import shared as module  # noqa: PLC0415 - its script is what is tested

    at = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    shared = Shared(redis.url)
    clock = "local time = redis.call('TIME')\nlocal now = time[1] + time[2] / 1000000"
    assert clock in module._SCRIPT
    script = module._SCRIPT.replace(clock, f"local now = {at}")
    try:
        told: Any = await shared._redis.eval(script, 1, "k", "1", "month", 1, 10, 0)  # type: ignore[misc, unused-ignore]
        assert float(told[1]) == pytest.approx(period_end(Period.MONTH, at) - at, abs=0.01)
    finally:
        await shared.aclose()


async def test_what_is_asked_at_once_is_one_round_trip(redis: RunningRedis) -> None:
    """As many questions as there are, each with its own answer; one whose asker has gone costs nobody else's."""
    shared = Shared(redis.url)
    await shared.begin()
    await shared.counted([Charge(("a",), BUCKET, 0)], take=True)  # the script is known now
    before = _packets(redis)
    puts = [shared.put("document", str(number), b"%d" % number, for_s=60) for number in range(100)]
    await asyncio.gather(*puts)
    assert _packets(redis) - before <= 4
    gone = asyncio.create_task(shared.get("document", "0"))
    stays = [asyncio.create_task(shared.get("document", str(number))) for number in range(1, 100)]
    await asyncio.sleep(0)
    gone.cancel()
    assert await asyncio.gather(*stays) == [b"%d" % number for number in range(1, 100)]
    await shared.aclose()


def _packets(redis: RunningRedis) -> int:
    """How often Redis has read from a socket."""
    told = subprocess.run(["redis-cli", "-p", str(redis.port), "info", "stats"], capture_output=True, check=True, text=True)
    fields = dict(line.split(":", 1) for line in told.stdout.splitlines() if ":" in line)
    return int(fields["total_reads_processed"])


async def test_a_redis_that_was_emptied_is_told_the_script_again(redis: RunningRedis) -> None:
    """As after its restart; what was asked meanwhile is charged once."""
    shared = Shared(redis.url)
    bucket = Bucket("requests", 20, 0.001)
    charge = [Charge(("a",), bucket, 1)]
    await shared.counted(charge, take=True)
    await shared._redis.script_flush()  # type: ignore[no-untyped-call, unused-ignore]
    counts = await asyncio.gather(*(shared.counted(charge, take=True) for _ in range(5)))
    assert [round(count.remaining) for (count,) in counts] == [18, 17, 16, 15, 14]
    await shared.aclose()


async def test_several_gateways_let_the_limit_through_and_no_more(
    redis: RunningRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them, fifty clients at once: the burst, and what comes back meanwhile."""
    monkeypatch.setattr("bff.gate.shared.TIMEOUT_S", 30.0)  # on a busy machine it would be taken for away
    gateways = [SharedCounts(Shared(redis.url), InMemory()) for _ in range(2)]
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


async def test_without_redis_a_gateway_counts_by_itself_and_says_so(
    redis: RunningRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, when it goes; and again when it is back. Nobody waits for it longer than a moment."""
    caplog.set_level(logging.INFO, "bff.shared")
    told: list[bool] = []
    shared = Shared(redis.url, told.append)
    counts = SharedCounts(shared, InMemory())
    one = [Charge(("a",), BUCKET, 1)]
    await shared.begin()
    await counts.take(one)
    assert (told, shared.is_there) == ([True], True)
    redis.stop()
    for _ in range(3):
        (count,) = await counts.take(one)
        assert count.retry_after_s == 0
    await counts.settle(one)
    assert told == [True, False]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    redis.start()
    assert shared._looking is not None
    async with asyncio.timeout(30):
        await shared._looking
    (count,) = await counts.take(one)
    assert count.remaining == pytest.approx(19, abs=0.5)
    assert told == [True, False, True]
    await shared.aclose()


async def test_a_redis_that_hangs_holds_nobody_up() -> None:
    """A port that takes the connection and never answers. Those who ask together wait together, later ones not at all."""
    asked_for: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65536):
            asked_for.append(said)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    shared = Shared(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    asked = await asyncio.gather(*(shared.get("document", str(number)) for number in range(20)), return_exceptions=True)
    assert [type(each) for each in asked] == [Away] * 20
    assert b"".join(asked_for).count(b"\r\nGET\r\n") <= 20  # none of them was asked a second time
    with pytest.raises(Away):
        now(shared.get("document", "a"))  # without waiting for anything: it is known to be away
    await shared.aclose()
    await asyncio.sleep(0.05)
    server.close()


async def test_a_document_that_one_gateway_knows_all_know(redis: RunningRedis) -> None:
    """Registered at one, asked for at the other; what Redis holds under a wrong hash is not taken."""
    one, other = Shared(redis.url), Shared(redis.url)
    text = "{ __typename }"
    digest = hash_of(text)
    nothing = TrustedDocuments([])
    first, second = Documents("web", "any", nothing, one), Documents("web", "any", nothing, other)
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    assert await first.text(text, None, persisted) == (text, digest)
    await first.register(digest, text)
    assert await second.text(None, None, persisted) == (text, None)
    await one.put("document", f"web:{hash_of('{ a }')}", b"{ evil }", for_s=60)
    assert await second._find(hash_of("{ a }")) is None
    await one.aclose()
    await other.aclose()
