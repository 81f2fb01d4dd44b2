"""A moment of the connections' fuzzer."""

from tests.fuzz.connection import fuzz, lines_of


async def test_random_streams_are_read_as_another_implementation_reads_them() -> None:
    """And bodies, trailers and offers to upgrade are never requests."""
    report = await fuzz(seed=1, runs=1500)
    assert not report.faults, "\n".join(lines_of(report))
    assert report.requests > 500
