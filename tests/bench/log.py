"""`python -m tests.bench.log`: what a line of the access log takes of the event loop's thread.

Lines go into a pipe that another process reads. Beside ours stands what they cost through `logging` and a handler that
writes at once, which waits whenever the pipe is full.
"""

import argparse
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from graphql import OperationType

from bff.observe import logs
from bff.request import access_log
from bff.request.exchange import Response

_RESPONSE = Response(200, (), b"")
_BATCH = 500
_REST_S = 0.05


def request() -> Any:
    """An account page's request, as far as the log looks at it."""
    return SimpleNamespace(
        scope={"method": "POST", "path": "/web/graphql"},
        endpoint=SimpleNamespace(variant=SimpleNamespace(name="web")),
        consumer=None,
        operation=SimpleNamespace(name="Account", kind=OperationType.QUERY),
        request_id="0123456789abcdef0123456789abcdef",
        calls=Counter(users=1, orders=1, products=1),
    )


def measured(rounds: int) -> float:
    """Microseconds of this thread for a line: the least of some runs, with rests in which the writer writes."""
    exchange = request()

    def run() -> float:
        spent, left = 0.0, rounds
        while left > 0:
            began = time.thread_time()
            for _ in range(_BATCH):
                access_log.log_request(exchange, _RESPONSE, 0.0123)
            spent += time.thread_time() - began
            left -= _BATCH
            time.sleep(_REST_S)
        return spent / rounds * 1e6

    return min(run() for _ in range(5))


def at_once() -> None:
    """Records, and a handler that writes each of them at once, as `logging` has it."""
    logs.configure("info", "json")
    handler = logging.StreamHandler(os.fdopen(1, "w", closefd=False))
    handler.setFormatter(logs.JsonFormatter())
    logging.getLogger().handlers[:] = [handler]


def with_records() -> None:
    """Our handler, where something else listens as well: each line is a record."""
    logs.configure("info", "json")
    logging.getLogger().addHandler(logging.NullHandler())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5000)
    given = parser.parse_args()
    ways: dict[str, Callable[[], None]] = {
        "a record, written at once": at_once,
        "a record, queued": with_records,
        "a line, queued": lambda: logs.configure("info", "json"),
        "a line for a console, queued": lambda: logs.configure("info", "console"),
        "none: the level is higher": lambda: logs.configure("warning", "json"),
    }
    table = os.dup(1)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        os.dup2(reader.stdin.fileno(), 1)
        for name, configure in ways.items():
            configure()
            os.write(table, f"{name:50}{measured(given.rounds):8.1f} µs\n".encode())
            logs.flush()
        os.dup2(table, 1)
    sys.exit(0)


if __name__ == "__main__":
    main()
