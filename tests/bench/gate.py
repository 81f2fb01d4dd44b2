"""`python -m tests.bench.gate`: the CPU time of each step of the gate, for a request whose token and document are cached.

In one process, without sockets. The pipeline's own steps run up to the operation's execution, one step more each time, so
that a row is what its step adds. Rate limits are counted in memory: requests, and with `--cost` the cost too.
"""

import argparse
import asyncio
import sys
import time

from bff.commands import token as tokens
from bff.gate.proxies import Proxies
from bff.gateway import create
from bff.request import driver, pipeline
from bff.request.encoding import encode
from bff.request.exchange import Exchange, headers_of, open_exchange
from bff.request.gate_steps import decode
from bff.request.pipeline import Pipeline
from bff.request.requested_operation import RequestedOperation
from bff.request.response import EncodedResponse, Response
from bff.request.services import Services
from bff.server.host import Gateway
from bff.settings import load
from bff.upstream.caller import Deadline
from schema.app import app as shop_app
from tests.support.gateways import SECRET

BODY = b'{"query":"query Account($id: ID!) { product(id: $id) { name } me { name } }","variables":{"id":"1"}}'
END = EncodedResponse(200, (), b"")


async def end_gate(_: Exchange, __: Services) -> EncodedResponse:
    """Instead of the remaining steps: the request is let in, and that is all."""
    return END


async def end_operation(_: RequestedOperation, __: Services) -> Response:
    """Instead of the operation's execution."""
    return Response(b"{}")


def measured(gateway: Gateway, token: str, steps: Pipeline, rounds: int) -> float:
    """CPU microseconds of a request through that pipeline."""
    endpoint, services, proxies = gateway.served.endpoints["web"], gateway.served.services, Proxies()
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
            exchange = open_exchange(
                endpoint,
                scope,
                receive,
                headers,
                Deadline(time.monotonic() + 10, time.monotonic),
                proxies.client("127.0.0.1", headers.get(b"x-forwarded-for", ())),
            )
            response = encode(exchange, await driver.run(exchange, services, steps))
            assert response.status == 200
        return (time.process_time() - began) / rounds * 1e6

    asyncio.run(run())  # warm: token and document are cached from now on
    return min(asyncio.run(run()) for _ in range(5))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--cost", action="store_true", help="limit the cost of operations too")
    given = parser.parse_args()
    nowhere = {f"{name}_SERVICE_URL": "http://127.0.0.1:9" for name in ("USERS", "ORDERS", "PRODUCTS")}
    # Limits that no run reaches.
    rates = {"BURST": "1000000", "PER_MINUTE": "10000000"} | ({"COST_PER_MINUTE": "1000000000"} if given.cost else {})
    limits = {f"BFF_VARIANTS__WEB__RATE__{name}": value for name, value in rates.items()}
    settings = load(shop_app, {"JWT_SECRET": SECRET, "LOG_LEVEL": "warning", **nowhere, **limits})
    gateway = create(shop_app, settings)
    token = tokens.make(settings, sub="1", role=None, ttl_s=3600)
    gate, operation = pipeline.GATE, pipeline.OPERATION[:-1]
    stages = [
        ("the request itself: headers, id, trace, exchange", Pipeline([end_gate], decode, ())),
        *((step.__name__, Pipeline([*gate[:number], end_gate], decode, ())) for number, step in enumerate(gate, 1)),
        ("decode, prepare, check", Pipeline(gate, decode, [end_operation])),
        *(
            (step.__name__, Pipeline(gate, decode, [*operation[:number], end_operation]))
            for number, step in enumerate(operation, 1)
        ),
    ]
    base = before = 0.0
    for name, steps in stages:
        total = measured(gateway, token, steps, given.rounds)
        base = base or total
        sys.stdout.write(f"{name:50}{total - before:8.1f} µs" + "\n")
        before = total
    sys.stdout.write(f"{'the gate, all steps together':50}{before - base:8.1f} µs" + "\n")


if __name__ == "__main__":
    main()
