"""Nothing that was fetched for one viewer is shown to another: all policies on, thousands of calls interleaved."""

import asyncio
import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from bff.upstream.caller import Caller
from bff.upstream.errors import SourceError
from bff.upstream.traffic.bulkhead import BulkheadOptions
from bff.upstream.traffic.call import Stale
from bff.upstream.traffic.stack import TrafficOptions
from bff.upstream.wire import ConnectionBroken, WireReply, WireRequest
from datasources.products import Products
from datasources.users import User, Users
from tests.support.fakes import Clock, Heard, a_product, a_user, answer, make_caller, make_stack

VIEWERS = ["1", "2", "3", None]
SAID = [
    "private, no-cache",
    "private, max-age=5",
    "public, max-age=5, stale-if-error=60",
    "public, s-maxage=5, stale-while-revalidate=60",
    "max-age=5, stale-while-revalidate=60",
    "no-store",
    "max-age=0, stale-if-error=60",
]
NOBODY = "nobody"


class Mirror:
    """A service that returns the viewer's own name, with any caching headers, and fails now and then."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.seen: Counter[str] = Counter()

    async def send(self, request: WireRequest, *, max_response_bytes: int) -> WireReply:
        """Return the requested objects, with the viewer's name in them."""
        sent = dict(request.headers)
        viewer = sent.get("X-User-ID", NOBODY)
        assert ("Authorization" in sent) is (viewer != NOBODY)
        self.seen[viewer] += 1
        for _ in range(self.chance.randint(0, 4)):
            await asyncio.sleep(0)
        fate = self.chance.random()
        if fate < 0.05:
            raise ConnectionBroken
        if fate < 0.1:
            return answer(500)
        headers = {"cache_control": self.chance.choice(SAID), "etag": f'"{viewer}"'}
        if sent.get("If-None-Match") == f'"{viewer}"' and fate < 0.6:
            return answer(304, b"", **headers)
        # The entity tag of another viewer's reply would revalidate that reply.
        assert sent.get("If-None-Match") in {None, f'"{viewer}"'}
        return answer(200, msgspec.json.encode(self._body(request, viewer)), **headers)

    def _body(self, request: WireRequest, viewer: str) -> Any:
        path, _, query = request.url.partition("?")
        make = a_product if "/products" in path else a_user
        if not query:
            return make(int(path.rpartition("/")[2]), name=viewer)
        ids = query.partition("ids=")[2].split(",") if "ids=" in query else ["1", "2", "3"]
        return {"items": [make(int(each), name=viewer) for each in ids], "nextCursor": None, "total": 3}

    async def aclose(self) -> None:
        """There is nothing to close."""


def names(found: Any) -> set[str]:
    """The viewers' names in the values."""
    if isinstance(found, Stale):
        return names(found.value)
    if isinstance(found, SourceError):
        return set()
    return {found.name}


class Storm:
    """Viewers who read and write, and a record of each who saw another's data."""

    def __init__(self, clock: Clock, heard: Heard, chance: random.Random) -> None:
        self.chance = chance
        self.mirror = Mirror(chance)
        options = TrafficOptions(bulkhead=BulkheadOptions(max_concurrent=10_000))
        self.stacks = [make_stack(self.mirror, clock, heard, options=options, source=name) for name in ("users", "products")]
        self.users = Users(self.stacks[0], forward_identity=True)
        self.products = Products(self.stacks[1], forward_identity=False)
        self.wrong: list[tuple[str, set[str]]] = []
        self.right = 0

    async def read(self, caller: Caller, expected: str, source: Any) -> None:
        """Read objects by id, or a page."""
        ids = self.chance.sample(range(1, 6), self.chance.randint(1, 4))
        try:
            if self.chance.random() < 0.2:
                found: list[Any] = list((await source.page.load(caller, limit=3, cursor=None)).items)
            else:
                found = list((await source.by_id.load(caller, ids)).values())
        except SourceError:
            return
        self._check(expected, set().union(*map(names, found)))
        self.right += len(found)

    async def write(self, caller: Caller, expected: str) -> None:
        """Change a user."""
        try:
            written: User = await self.users.update(caller, self.chance.randint(1, 5), {"name": "x"}, key="k")
        except SourceError:
            return
        self._check(expected, {str(written.name)})

    def _check(self, expected: str, seen: set[str]) -> None:
        if not seen <= {expected}:
            self.wrong.append((expected, seen))

    def begin(self, clock: Clock) -> "asyncio.Task[None]":
        """Start one more call, of any kind, for any viewer."""
        sub = self.chance.choice(VIEWERS)
        caller, expected = make_caller(clock, left_s=1000, sub=sub), sub or NOBODY
        fate = self.chance.random()
        if fate < 0.02:
            return asyncio.create_task(self.write(caller, expected))
        if fate < 0.5:
            return asyncio.create_task(self.read(caller, expected, self.users))
        return asyncio.create_task(self.read(caller, NOBODY, self.products))


@pytest.mark.parametrize("seed", range(4))
async def test_no_viewer_sees_another_viewers_data(clock: Clock, heard: Heard, seed: int) -> None:
    """Objects, batches, pages and writes of four viewers in any order, concurrently, over hours."""
    chance = random.Random(seed)
    storm = Storm(clock, heard, chance)
    running: list[asyncio.Task[None]] = []
    for _ in range(4000):
        running.append(storm.begin(clock))
        if chance.random() < 0.05:
            chance.choice(running).cancel()
        if chance.random() < 0.3:
            await asyncio.sleep(0)
            clock.now += chance.choice([0, 0.1, 3.0])
            running = [task for task in running if not task.done()]
    await asyncio.gather(*running, return_exceptions=True)
    assert storm.wrong == []
    assert storm.right > 5000
    assert set(storm.mirror.seen) == {"1", "2", "3", NOBODY}
    for stack in storm.stacks:
        await stack.aclose()
