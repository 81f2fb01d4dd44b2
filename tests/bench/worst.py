"""`python -m tests.bench.worst --seconds 600`: memory under the worst that the limits let through.

Fifty connections send what costs most and is not refused: documents whose fragments unfold, each with sixteen answers to its
switches; wide documents, never the same twice; bodies and variables of the largest size; batches; persisted queries;
tokens that nobody has sent before, good and bad; pages of ever other searches; trailers; and clients that hang up. Rate
limits are off: who has enough addresses has no limit. Prints resident MiB of the gateway, and how long `/health` took at
worst, ten times on the way.
"""

import argparse
import asyncio
import hashlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

from bff.commands import token as tokens
from bff.settings import Settings, load
from schema.app import app as shop_app
from tests.bench.processes import rss_mib, tree
from tests.support.gateways import SECRET, free_port
from tests.support.processes import bff

_SWITCHES = ("a", "b", "c", "d")


def _post(body: bytes, *, path: str = "/web/graphql", headers: str = "", trailer: bytes | None = None) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}"
    if trailer is None:
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    return f"{head}transfer-encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n" + trailer + b"\r\n"


def _query(query: str, **more: object) -> bytes:
    return json.dumps({"query": query, **more}).encode()


class Mix:
    """Makes requests. `rng` decides which."""

    def __init__(self, settings: Settings, rng: random.Random, only: str | None = None) -> None:
        self._settings = settings
        self._rng = rng
        self._number = 0
        self.kinds: list[Callable[[], bytes]] = [
            self.unfolding,
            self.unfolding,
            self.wide,
            self.large,
            self.batch,
            self.persisted,
            self.new_token,
            self.bad_token,
            self.searched,
            self.trailing,
            self.wrong,
        ]
        if only is not None:
            self.kinds = [getattr(self, only)]

    def request(self) -> bytes:
        """One of them."""
        self._number += 1
        return self._rng.choice(self.kinds)()

    def unfolding(self) -> bytes:
        """A document of which there are two hundred, with one of sixteen answers to its switches."""
        number, rng = self._rng.randrange(200), self._rng
        declared = ", ".join(f"${name}: Boolean!" for name in _SWITCHES)
        switched = " ".join(f"{name}{number}: name @skip(if: ${name})" for name in _SWITCHES)
        orders = " ".join(f"o{n}: orders(first: {number % 5 + 1}) {{ user {{ ...B }} }}" for n in range(5))
        query = (
            f"query Q{number}({declared}) {{ me {{ {switched} ...A }} }} fragment A on User {{ {orders} }} "
            "fragment B on User { name email orders(first: 2) { id total items { quantity product { ...P } } } } "
            "fragment P on Product { id name price currency inStock imageUrl(width: 10) }"
        )
        return _post(_query(query, variables={name: rng.random() < 0.5 for name in _SWITCHES}))

    def wide(self) -> bytes:
        """A document that nobody has sent before, of as many fields as a document may have."""
        fields = " ".join(f"a{n}: __typename" for n in range(25))
        inner = " ".join(["id", "name", "price", "description", "category"] * 9)
        query = f"query W{self._number} {{ {fields} product(id: {self._number % 500 + 1}) {{ {inner} }} }}"
        return _post(_query(query))

    def large(self) -> bytes:
        """Variables as large as a body may be."""
        text = "x" * 90_000
        query = f"query L{self._rng.randrange(50)}($s: String) {{ products(search: $s) {{ totalCount }} }}"
        return _post(_query(query, variables={"s": text}))

    def batch(self) -> bytes:
        """Ten new documents at once."""
        parts = [{"query": f"query B{self._number}x{n} {{ product(id: {n + 1}) {{ name price }} }}"} for n in range(10)]
        return _post(json.dumps(parts).encode())

    def persisted(self) -> bytes:
        """A document that is to be registered."""
        query = f"query P{self._number} {{ product(id: 1) {{ name }} }} " + " " * 5000
        digest = hashlib.sha256(query.encode()).hexdigest()
        return _post(_query(query, extensions={"persistedQuery": {"version": 1, "sha256Hash": digest}}))

    def new_token(self) -> bytes:
        """A good token that was not seen before."""
        token = tokens.make(self._settings, sub=str(self._rng.randrange(1, 1001)), role="x" * self._rng.randrange(3000))
        query = "{ me { name orders(first: 3) { id items { product { name } } } } }"
        return _post(_query(query), headers=f"authorization: Bearer {token}\r\n")

    def bad_token(self) -> bytes:
        """As long as a token may be, and no good."""
        return _post(b"{}", headers=f"authorization: Bearer {self._rng.randbytes(3500).hex()}\r\n")

    def searched(self) -> bytes:
        """A page that nobody has asked for before."""
        query = "query S($s: String) { products(first: 100, search: $s) { nodes { id name description } } }"
        return _post(_query(query, variables={"s": f"product {self._rng.randrange(500)} {self._number % 7}"[:12]}))

    def trailing(self) -> bytes:
        """As many trailers as there may be."""
        return _post(_query("{ __typename }"), trailer=b"".join(b"x%d: %s\r\n" % (n, b"y" * 300) for n in range(90)))

    def wrong(self) -> bytes:
        """A document with many mistakes."""
        return _post(_query(f"query E{self._number} {{ " + " ".join(f"nothing{n}(x: {n})" for n in range(30)) + " }"))


async def _client(url: str, mix: Mix, until: float, statuses: Counter[str]) -> None:
    place = urlsplit(url)
    rng = random.Random(id(mix))
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while time.monotonic() < until:
        try:
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
            writer.write(mix.request())
            if rng.random() < 0.02:
                statuses["hung up"] += 1
                writer.close()
                reader = writer = None
                continue
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            lower = head.lower()
            await reader.readexactly(int(lower.partition(b"content-length:")[2].split(b"\r\n")[0]))
            statuses[head.split()[1].decode()] += 1
            if b"connection: close" in lower:
                writer.close()
                reader = writer = None
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            statuses[type(error).__name__] += 1
            reader = writer = None


async def _health(url: str, until: float, worst: list[float]) -> None:
    place = urlsplit(url)
    while time.monotonic() < until:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        worst[0] = max(worst[0], time.monotonic() - began)
        await asyncio.sleep(0.2)


async def _run(url: str, settings: Settings, seconds: float, pid: int, only: str | None) -> None:
    began = time.monotonic()
    until = began + seconds
    statuses: Counter[str] = Counter()
    worst = [0.0]
    work = [asyncio.create_task(_client(url, Mix(settings, random.Random(n), only), until, statuses)) for n in range(50)]
    work.append(asyncio.create_task(_health(url, until, worst)))
    for tenth in range(1, 11):
        await asyncio.sleep(max(began + seconds * tenth / 10 - time.monotonic(), 0))
        sys.stdout.write(
            f"after {time.monotonic() - began:.0f} s: {rss_mib(tree(pid)):.1f} MiB, {sum(statuses.values())} requests, "
            f"/health at worst {worst[0] * 1000:.0f} ms\n"
        )
        sys.stdout.flush()
        worst[0] = 0.0
    for task in work:
        with suppress(Exception):
            await task
    sys.stdout.write(f"{dict(statuses)}\n")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.worst", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--only", help="One kind of request alone, by the name of its method.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        demo = stack.enter_context(bff(folder, "demo-services", "--port", "0"))
        places = dict(line.split("=", 1) for line in demo.wait_for("PRODUCTS_SERVICE_URL=").splitlines())
        environment = {**places, "JWT_SECRET": SECRET, "BFF_RATE__ENABLED": "false", "LOG_LEVEL": "warning"}
        port = free_port()
        arguments = ("serve", "--host", "127.0.0.1", "--port", str(port))
        gateway = stack.enter_context(bff(folder, *arguments, environment=environment))
        url = f"http://127.0.0.1:{port}"
        gateway.wait_until_ready(url)
        sys.stdout.write(f"at the start: {rss_mib(tree(gateway.process.pid)):.1f} MiB\n")
        asyncio.run(_run(url, load(shop_app, {"JWT_SECRET": SECRET}), options.seconds, gateway.process.pid, options.only))


if __name__ == "__main__":
    main()
