"""`python -m tests.bench.gate`: what the gate takes of a request whose token and document are known, step by step.

In one process, without sockets: the pipeline's own steps are run up to the operation, each with one step more than the one
before, so that a row is what its step adds. Rates are counted in memory by requests; with `--cost` by cost as well.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from bff.commands import token as tokens
from bff.gate.proxies import Proxies
from bff.gateway import create
from bff.request import pipeline
from bff.request.exchange import Exchange, Response, headers_of, request_id_of, traceparent_of
from bff.request.pipeline import Services, Step
from bff.server.host import Gateway
from bff.settings import load
from bff.upstream.caller import Deadline
from tests.support.gateways import SECRET

BODY = b'{"query":"query Account($id: ID!) { product(id: $id) { name } me { name } }","variables":{"id":"1"}}'
ENOUGH = Response(200, (), b"")


async def ends(_: Exchange, __: Services) -> Response | None:
    """In place of the rest: the request is let in, and that is all."""
    return ENOUGH


def measured(gateway: Gateway, token: str, steps: Sequence[Step], rounds: int) -> float:
    """CPU microseconds of a request through those steps."""
    endpoint, services, proxies = gateway.endpoints["web"], gateway.services, Proxies()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/web/graphql",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(BODY)).encode()),
            (b"authorization", f"Bearer {token}".encode()),
            (b"accept", b"application/json"),
        ],
    }
    message = {"type": "http.request", "body": BODY, "more_body": False}

    async def receive() -> dict[str, object]:
        return message

    async def run() -> float:
        began = time.process_time()
        for _ in range(rounds):
            headers = headers_of(scope)
            exchange = Exchange(
                endpoint,
                scope,
                receive,
                headers,
                request_id_of(headers),
                traceparent_of(headers),
                Deadline(time.monotonic() + 10, time.monotonic),
                proxies.client("127.0.0.1", headers.get(b"x-forwarded-for", ())),
            )
            response = await pipeline.run(exchange, services, steps, ())
            assert response.status == 200
        return (time.process_time() - began) / rounds * 1e6

    asyncio.run(run())  # warm: token and document are known from now on
    return min(asyncio.run(run()) for _ in range(5))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--cost", action="store_true", help="a limit on operations' cost as well")
    given = parser.parse_args()
    nowhere = {f"{name}_SERVICE_URL": "http://127.0.0.1:9" for name in ("USERS", "ORDERS", "PRODUCTS")}
    # So much that nothing is refused.
    rates = {"BURST": "1000000", "PER_MINUTE": "10000000"} | ({"COST_PER_MINUTE": "1000000000"} if given.cost else {})
    limits = {f"BFF_VARIANTS__WEB__RATE__{name}": value for name, value in rates.items()}
    settings = load({"JWT_SECRET": SECRET, "LOG_LEVEL": "warning", **nowhere, **limits})
    gateway = create(settings)
    token = tokens.make(settings, sub="1", role=None, ttl_s=3600)
    listed = [*pipeline.GATE, pipeline.prepare, pipeline.charge_cost]
    before = base = measured(gateway, token, [ends], given.rounds)
    sys.stdout.write(f"{'the request itself: headers, id, trace, exchange':50}{base:8.1f} µs" + "\n")
    for number, step in enumerate(listed, 1):
        so_far = measured(gateway, token, [*listed[:number], ends], given.rounds)
        sys.stdout.write(f"{step.__name__:50}{so_far - before:8.1f} µs" + "\n")
        before = so_far
    sys.stdout.write(f"{'the gate, all told':50}{before - base:8.1f} µs" + "\n")


if __name__ == "__main__":
    main()
