"""Requests that are lost or doubled while two gateways behind nginx are replaced again and again.

`python -m tests.bench.rolling --requests 100000 --rolls 20` starts demo services, two gateways with default settings and
nginx, and keeps asking through it, by several clients at once, reads and writes.
"""

import argparse
import json
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from bff.commands import token as tokens
from bff.settings import load
from schema.app import app as shop_app
from tests.support.gateways import SECRET, free_port
from tests.support.processes import Command, bff
from tests.support.proxies import nginx
from tests.support.rolling import Traffic


def main() -> None:
    """Run it and print what came of it; exit with 1 where anything was lost or doubled."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rolls", type=int, default=4, help="How often each of the two gateways is replaced.")
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        demo = stack.enter_context(bff(folder, "demo-services", "--port", "0"))
        output = demo.wait_for("PRODUCTS_SERVICE_URL=")
        places = dict(line.split("=", 1) for line in output.splitlines())
        settings = {**places, "JWT_SECRET": SECRET, "BFF_RATE__ENABLED": "false", "LOG_LEVEL": "warning"}
        ports = [free_port() for _ in range(2)]

        def serving(port: int) -> Command:
            command = stack.enter_context(
                bff(folder, "serve", "--host", "127.0.0.1", "--port", str(port), environment=settings)
            )
            command.wait_until_ready(f"http://127.0.0.1:{port}")
            return command

        running = [serving(port) for port in ports]
        url = stack.enter_context(nginx(folder, [f"http://127.0.0.1:{port}" for port in ports], options="max_fails=0"))
        token = tokens.make(load(shop_app, {"JWT_SECRET": SECRET}), sub="1")
        traffic = Traffic(url, {"authorization": f"Bearer {token}"})
        before = _orders(places)

        def roll() -> None:
            pause = threading.Event()
            for turn in range(2 * options.rolls):
                while traffic.asked < options.requests * turn / (2 * options.rolls):
                    pause.wait(0.05)
                assert running[turn % 2].stop() == 0
                running[turn % 2] = serving(ports[turn % 2])
            while traffic.asked < options.requests:
                pause.wait(0.05)

        began = time.monotonic()
        traffic.run(options.clients, roll)
        placed = _orders(places) - before
        lost = sum(traffic.failures.values())
        print(  # noqa: T201 - its figures
            f"{traffic.asked} requests in {time.monotonic() - began:.0f} s, {2 * options.rolls} gateways replaced: "
            f"{lost} failed {dict(traffic.failures)}; {len(traffic.orders)} orders answered, {placed} placed; "
            f"slowest {traffic.slowest_s:.2f} s"
        )
        if lost or placed != len(traffic.orders):
            raise SystemExit(1)


def _orders(places: dict[str, str]) -> int:
    """How many orders there are."""
    total: int = json.loads(httpx.get(f"{places['ORDERS_SERVICE_URL']}/orders?limit=1", trust_env=False).text)["total"]
    return total


if __name__ == "__main__":
    main()
