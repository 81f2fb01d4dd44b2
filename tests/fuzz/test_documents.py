"""A short run of the fuzzer of documents: nothing is raised that no client is meant to see, and memory is accounted for.

What a document takes of time is no verdict here, since it depends on the machine: `python -m tests.fuzz.documents` has it.
"""

import tracemalloc
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.fuzz.documents import TOLERATED_BYTES, Fuzzer, Probe


@pytest.fixture
def traced() -> Iterator[None]:
    """Allocations are traced."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_documents_at_the_limits_are_run_or_refused() -> None:
    """Some of all kinds: each ends in a plan, or in an error with a code."""
    fuzzer, probe = Fuzzer(7), Probe(traced=False)
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for _ in range(80):
        took = probe.take(*fuzzer.make())
        outcomes[took.outcome] += 1
        kinds[took.kind] += 1
    assert set(outcomes) <= {
        "ok",
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "QUERY_TOO_COMPLEX",
        "InvalidVariables",
    }
    assert len(outcomes) >= 3
    assert len(kinds) == 14


@pytest.mark.usefixtures("traced")
def test_what_documents_hold_is_accounted_for() -> None:
    """What is held of a document with its plans, as Python traces it, is no more than the cache takes it to be."""
    fuzzer, probe = Fuzzer(3), Probe(traced=True)
    for _ in range(10):
        took = probe.take(*fuzzer.make())
        assert took.traced_bytes <= took.weight + TOLERATED_BYTES, str(took)
