"""Orders flapping under load: `python -m tests.bench.flapping [--seconds 60]`.

The orders service is up for two seconds and down for two, in turn, in several ways; all the while twenty connections ask for
a user's page. Every answer is checked: well-formed, user and product untouched, orders whole or null with one error. What
reached orders while it was down is counted, beside what was asked of the gateway. Exit status 1 where anything was wrong.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt

from bff.upstream.wire import WireOptions, WireRequest
from bff.upstream.wire.asyncio_wire import AsyncioWire
from tests.support.background import Background
from tests.support.faults import Fault
from tests.support.gateways import SECRET, free_port
from tests.support.processes import bff
from tests.support.services import Tapped, tapped_services

QUERY = '{ user(id: "1") { name orders(first: 3) { id } } product(id: "1") { name } }'
FAULTS = (Fault.STATUS_500, Fault.RESET, Fault.HANG, Fault.STATUS_503, Fault.REFUSED)
CONNECTIONS = 20
PHASE_S = 2.0


@dataclass(slots=True)
class Tally:
    """What was seen."""

    answers: int = 0
    without_orders: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)
    down: list[tuple[str, int, int]] = field(default_factory=list)
    """Of each phase in which orders was down: how, requests to the gateway, calls that reached orders."""


def check(status: int, body: bytes, tally: Tally) -> None:
    """Note an answer, and what is wrong with it."""
    tally.answers += 1
    answer: Any = json.loads(body)
    errors = answer.get("errors", [])
    data = answer.get("data") or {}
    user = data.get("user") or {}
    fine = status == 200 and user.get("name") == "User 1" and data.get("product") == {"name": "Product 1"}
    if user.get("orders") is None:
        tally.without_orders += 1
        fine = fine and len(errors) == 1 and errors[0]["path"] == ["user", "orders"]
        tally.codes.update(error["extensions"]["code"] for error in errors)
    else:
        fine = fine and not errors and len(user["orders"]) == 3
    if not fine:
        tally.wrong.append(body.decode()[:500])


async def ask(url: str, tally: Tally, until: float) -> None:
    """One connection's requests, one after the other."""
    claims = {"sub": "1", "exp": int(time.time()) + 3600}
    headers = (
        ("Content-Type", "application/json"),
        ("Authorization", f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"),
    )
    request = WireRequest("POST", f"{url}/web/graphql", headers, json.dumps({"query": QUERY}).encode())
    wire = AsyncioWire(WireOptions(max_connections=1))
    while (began := time.monotonic()) < until:
        reply = await asyncio.wait_for(wire.send(request, max_response_bytes=2**20), 30)
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - began)
        check(reply.status, reply.body, tally)
        await asyncio.sleep(0.002)
    await wire.aclose()


async def flap(services: Tapped, tally: Tally, until: float) -> None:
    """Up and down in turn."""
    number = 0
    while time.monotonic() < until:
        await asyncio.sleep(PHASE_S)
        fault = FAULTS[number % len(FAULTS)]
        services.fail("orders", fault)
        answers = tally.answers
        await asyncio.sleep(PHASE_S)
        reached = services.ports["orders"].requests
        tally.down.append((fault.name.lower(), tally.answers - answers, reached))
        services.fail("orders", None)
        number += 1


async def run(url: str, services: Tapped, seconds: float) -> Tally:
    """The load and the flapping, side by side."""
    tally = Tally()
    until = time.monotonic() + seconds
    await asyncio.gather(flap(services, tally, until), *(ask(url, tally, until) for _ in range(CONNECTIONS)))
    return tally


def report(tally: Tally) -> str:
    """The figures, a line each."""
    lines = [
        f"{tally.answers} answers, {tally.without_orders} without orders, {len(tally.wrong)} wrong; "
        f"the slowest took {tally.slowest_s:.2f} s; errors {dict(tally.codes)}"
    ]
    lines += [f"down ({how}): {asked} requests, {reached} calls reached orders" for how, asked, reached in tally.down]
    return "\n".join([*lines, *tally.wrong[:3]])


def main() -> int:
    """Run it; 0 where every answer was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flapping", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: %(default)s)")
    seconds = parser.parse_args().seconds
    with ExitStack() as stack:
        background = Background()
        stack.callback(background.close)
        services = background.enter(tapped_services())
        port = free_port()
        places = {f"{name.upper()}_SERVICE_URL": url for name, url in services.urls.items()}
        environment = {"JWT_SECRET": SECRET, "LOG_LEVEL": "warning", "BFF_SOURCES__ORDERS__BREAKER__OPEN_S": "1", **places}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = stack.enter_context(
            bff(folder, "serve", "--host", "127.0.0.1", "--port", str(port), environment=environment)
        )
        command.wait_until_ready(f"http://127.0.0.1:{port}")
        tally = asyncio.run(run(f"http://127.0.0.1:{port}", services, seconds))
    sys.stdout.write(report(tally) + "\n")
    return int(bool(tally.wrong))


if __name__ == "__main__":
    sys.exit(main())
