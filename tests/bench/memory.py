"""`python -m tests.bench.memory`: how much memory a warm gateway has, over many requests of many documents.

Ends with status 1 where an answer was wrong. Prints a line each tenth of the way: requests so far and resident MiB.
"""

import argparse
import sys
from contextlib import ExitStack

from tests.bench.__main__ import Bench, BenchError, Options
from tests.bench.load import Call
from tests.bench.processes import rss_mib, tree
from tests.bench.scenarios import Scenario, token
from tests.bench.subjects import GATEWAY

_SHAPES = (
    "query D{n}($id: ID!) {{ a{n}: user(id: $id) {{ id name email orders(first: {few}) {{ id total status items "
    "{{ quantity product {{ id name price }} }} }} }} }}",
    "query D{n}($id: ID!) {{ u{n}: user(id: $id) {{ name tier createdAt }} }}",
    'query D{n} {{ p{n}: product(id: "{few}") {{ id name price inStock imageUrl(width: {few}) }} }}',
    "query D{n} {{ c{n}: products(first: {few}) {{ totalCount edges {{ cursor node {{ id name }} }} }} }}",
    "query D{n}($more: Boolean!) {{ me {{ id ...F @include(if: $more) }} }} "
    "fragment F on User {{ n{n}: name orders {{ id }} }}",
)


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--requests", type=int, default=200_000)
    given = parser.parse_args()
    options = Options((GATEWAY,), (), given.requests, 0, 50, 1, sys.executable, True, 0.0)
    with ExitStack() as stack:
        bench = Bench(options, stack)
        scenario = Scenario("memory", "memory", "/web/graphql", lambda _: [])
        calls = [_call(number, bench.secret) for number in range(given.documents)]
        calls += [_call(number, bench.secret) for number in range(given.documents)]
        pid = bench.running(GATEWAY)
        sys.stdout.write(f"at the start: {rss_mib(tree(pid)):.1f} MiB\n")
        for tenth in range(1, 11):
            result = bench.load(GATEWAY, scenario, calls, concurrency=50, count=given.requests // 10)
            if result.failure:
                raise BenchError(result.failure)
            sys.stdout.write(f"after {given.requests // 10 * tenth} requests: {rss_mib(tree(pid)):.1f} MiB\n")
            sys.stdout.flush()
    return 0


def _call(number: int, secret: str) -> Call:
    user = str(number % 50 + 1)
    query = _SHAPES[number % len(_SHAPES)].format(n=number, few=number % 10 + 1)
    variables = {"id": user} if "$id" in query else {"more": number % 2 == 0} if "$more" in query else {}
    return Call({"query": query, "variables": variables}, token(secret, user))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        sys.exit(1)
