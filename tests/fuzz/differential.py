"""`python -m tests.fuzz.differential --seconds 60 [--seed N]`: plans against graphql-core, while the services fail.

Random documents are executed both ways over the same services, of which some are down, slow, stale, have unreadable objects,
or raise unexpected exceptions. Data, errors with paths, locations and codes, and degraded fields must be equal. If they are
not, the document and the difference are printed, and the exit status is 1.
"""

import argparse
import asyncio
import random
import sys
import time
from dataclasses import dataclass

from bff.graph.context import Context
from tests.bff.engine.documents import Document, Documents
from tests.bff.engine.test_parity import FAULTS, Given, compared
from tests.bff.engine.zoo import zoo
from tests.support.shop import Shop, rejected, schemas

VARIANTS = ("web", "mobile", "admin")
SUBJECTS = (None, "1", "1", "2", "9", "nobody")


class ForeignError(Exception):
    """An exception of a library, with attributes that graphql-core reads of any exception."""

    source = "{ nothing of it }"
    positions = (1,)
    extensions = {"code": "SECRET"}  # noqa: RUF012 - as bad as it gets


@dataclass
class Faults(Given):
    """Services with more faults than `Given`'s, and several at once."""

    def context(self, variant: str) -> Context:
        """The context, with the same faults each time."""
        source, shop = random.Random(self.shop), Shop()
        faults = [*FAULTS, ForeignError("secret")]
        for each in (shop.users, shop.orders, shop.products):
            each.turns = source.choice((0, 0, 1, 2, 5))
            if source.random() < 0.15:
                each.failure = source.choice(faults)  # type: ignore[assignment] # what no source should raise
            if source.random() < 0.3:
                each.stale_s = source.choice((0.5, 40))
            if source.random() < 0.4:
                each.broken = {number: source.choice(FAULTS) for number in range(1, 8) if source.random() < 0.4}
            if source.random() < 0.2:
                each.refusal = source.choice([rejected(404), rejected(409), rejected(422, ("items[0].productId", "no"))])
        return shop.context(variant, self.sub)


class Differential:
    """Makes documents and faults from a seed, and compares the results."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._graphs = {**{name: schemas()[name] for name in VARIANTS}, "zoo": zoo()}
        self._documents = {name: Documents(graph, self._random) for name, graph in self._graphs.items()}

    async def step(self) -> str | None:
        """Compare one document. Returns the difference, with all that is needed to reproduce it; None if there is none."""
        name = self._random.choice(list(self._graphs))
        made: Document = self._documents[name].make()
        given = Faults(self._random.choice(SUBJECTS), self._random.randrange(10**9))
        difference = await compared(self._graphs[name], "web" if name == "zoo" else name, made, given)
        if difference is None:
            return None
        return f"{name}: {difference}\n{given}\n{made.text}\n{made.variables}\n"


async def run(seed: int, seconds: float) -> int:
    """Compare for a number of seconds. Returns the number of documents with differences."""
    differential, number, found = Differential(seed), 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        number += 1
        difference = await differential.step()
        if difference is not None:
            found += 1
            sys.stdout.write(difference)
    sys.stdout.write(f"seed {seed}, {number} documents, {found} with differences\n")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.differential")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    options = parser.parse_args(arguments)
    return int(asyncio.run(run(options.seed, options.seconds)) > 0)


if __name__ == "__main__":
    sys.exit(main())
