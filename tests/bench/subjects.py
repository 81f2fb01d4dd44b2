"""The subjects: the servers that are compared. A further one is one more entry in `SUBJECTS`."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

SERVED_BY_UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


@dataclass(frozen=True, slots=True)
class Subject:
    """A server under test.

    In `command`, `{python}` and `{port}` are filled in. Every subject finds HOST, PORT, USERS_SERVICE_URL,
    ORDERS_SERVICE_URL, PRODUCTS_SERVICE_URL and JWT_SECRET in its environment, and `env` besides; it answers 200 at
    `ready_path` as soon as it serves. A quick one is given `weight` times the requests, so that every run lasts long
    enough to be measured.
    """

    name: str
    command: tuple[str, ...]
    ready_path: str = "/ready"
    env: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1

    def argv(self, python: str = sys.executable, port: int = 8000) -> list[str]:
        """The command to run."""
        return [part.format(python=python, port=port) for part in self.command]


PLAIN = Subject(
    "plain",
    ("{python}", "-m", "uvicorn", "tests.bench.plain:app", "--port", "{port}", *SERVED_BY_UVICORN),
)
GATEWAY = Subject(
    "gateway",
    ("{python}", "-m", "bff", "serve", "--port", "{port}"),
    env={"LOG_LEVEL": "warning", "BFF_RATE__ENABLED": "false"},
    weight=4,
)
SUBJECTS = (PLAIN, GATEWAY)
PEERS = tuple(
    Subject(name, ("node", f"tests/bench/peers/{name}.mjs"), env={"NODE_ENV": "production"}, weight=4)
    for name in ("apollo", "mercurius")
)
"""Servers in JavaScript; only if asked for, as they want node and `npm ci` in `tests/bench/peers`."""
SPLICED = tuple(
    Subject(
        f"spliced-{wire}",
        (
            "{python}",
            "-m",
            "uvicorn",
            "tests.bench.spliced:app",
            "--port",
            "{port}",
            "--lifespan",
            "off",
            *SERVED_BY_UVICORN,
        ),
        env={"WIRE": wire},
        weight=4,
    )
    for wire in ("asyncio", "httpx")
)
"""The account page's calls by themselves; only for that scenario, and only if asked for."""
