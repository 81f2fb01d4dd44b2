"""The writer of log lines: it never blocks, keeps the order, and drops and counts lines that don't fit the queue."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bff.observe import writer as module
from bff.observe.writer import LineWriter, _chunks

_HANG_S = 30
"""Seconds after which a test that hangs fails."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's reading and writing end. Writing blocks when it is full."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def notice(number: int) -> bytes:
    """The line that says how many lines were dropped."""
    return b"dropped %d\n" % number


def read_lines(end: int, number: int) -> list[bytes]:
    """Read a number of lines, or all until the other end is closed."""
    read = b""
    while read.count(b"\n") < number:
        some = os.read(end, 65536)
        if not some:
            break
        read += some
    return read.splitlines()


def fill(end: int) -> int:
    """Fill a pipe, so that the next write blocks. How many bytes it took."""
    os.set_blocking(end, False)
    number = 0
    try:
        while True:
            number += os.write(end, b".")
    except BlockingIOError:
        os.set_blocking(end, True)
        return number


def test_lines_are_written_whole_and_in_order(pipe: tuple[int, int]) -> None:
    """Of any length."""
    writer = LineWriter(pipe[1], notice)
    lines = [b"%d %s" % (number, b"x" * (number % 7000)) for number in range(0, 8000, 11)]
    for line in lines:
        writer.write(line + b"\n")
    assert read_lines(pipe[0], len(lines)) == lines
    assert writer.flush(_HANG_S)
    assert writer.dropped == 0


def test_a_reader_that_does_not_read_blocks_nothing(pipe: tuple[int, int]) -> None:
    """Lines that don't fit the queue are dropped and counted. When there is room again, a line says how many."""
    before = fill(pipe[1])
    writer = LineWriter(pipe[1], notice, max_bytes=10_000)
    for number in range(1000):
        writer.write(b"%03d\n" % number)
    kept = 10_000 // (4 + module._LINE_BYTES)
    assert writer.dropped == 1000 - kept
    assert not writer.flush(0.0)
    while before:
        before -= len(os.read(pipe[0], before))
    expected = [b"%03d" % number for number in range(kept)]
    assert read_lines(pipe[0], kept + 1) == [*expected, b"dropped %d" % writer.dropped]
    writer.write(b"again\n")
    assert read_lines(pipe[0], 1) == [b"again"]
    assert writer.flush(_HANG_S)


def test_the_notice_stands_where_lines_were_dropped(pipe: tuple[int, int]) -> None:
    """Before the lines that were written after them."""
    writer = LineWriter(pipe[1], notice, max_bytes=1000)
    writer._start = lambda: None  # type: ignore[method-assign] # nothing is taken out meanwhile
    for number in range(20):
        writer.write(b"%02d\n" % number)
    kept = 20 - writer.dropped
    writer._done += 900  # as if most had been written
    writer.write(b"after\n")
    waiting = [writer._lines.get_nowait() for _ in range(kept + 2)]
    assert waiting[kept:] == [b"dropped %d\n" % writer.dropped, b"after\n"]


def test_a_reader_that_has_ended_is_no_error(pipe: tuple[int, int]) -> None:
    """The lines are counted as dropped."""
    os.close(pipe[0])
    writer = LineWriter(pipe[1], notice)
    writer.write(b"line\n")
    writer.write(b"line\n")
    assert writer.flush(_HANG_S)
    assert writer.dropped == 2


def test_a_non_blocking_pipe_loses_no_line(pipe: tuple[int, int]) -> None:
    """Its creator may have set it to non-blocking mode. The thread waits until it is writable."""
    before = fill(pipe[1])
    os.set_blocking(pipe[1], False)
    writer = LineWriter(pipe[1], notice)
    writer.write(b"line\n")
    assert not writer.flush(0.1)
    while before:
        before -= len(os.read(pipe[0], before))
    assert read_lines(pipe[0], 1) == [b"line"]
    assert writer.dropped == 0


def test_many_lines_are_one_write(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as a pipe accepts at once, so that no line of another process gets between."""
    sizes: list[int] = []
    write = os.write

    def counted(end: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(end, data)

    monkeypatch.setattr(os, "write", counted)
    writer = LineWriter(pipe[1], notice)
    start, writer._start = writer._start, lambda: None  # type: ignore[method-assign]
    for _ in range(100):
        writer.write(b"x" * 99 + b"\n")
    start()
    assert writer.flush(_HANG_S)
    assert sizes == [4000, 4000, 2000]


def test_chunks_split_no_line() -> None:
    """A line that is longer than a chunk is written alone."""
    lines = [b"aaa\n", b"bb\n", b"cccccccccc\n", b"d\n"]
    assert list(_chunks(lines, 8)) == [(b"aaa\nbb\n", 2), (b"cccccccccc\n", 1), (b"d\n", 1)]


def test_writing_is_reentrant(pipe: tuple[int, int]) -> None:
    """A finalizer or a signal handler may run anywhere, also inside of `write`."""
    writer = LineWriter(pipe[1], notice)
    with writer._lock:
        writer.write(b"inner\n")
    assert read_lines(pipe[0], 1) == [b"inner"]


def test_lines_of_forked_processes_stay_whole(tmp_path: Path) -> None:
    """Several processes share a pipe with a slow reader. The lines of each process are in order."""
    program = """
import os, sys
from bff.observe.writer import LineWriter

writer = LineWriter(1, lambda number: b"dropped\\n")
writer.write(b"parent before\\n")
children = []
for name in "ab":
    child = os.fork()
    if not child:
        for number in range(2000):
            writer.write(b"%s %d %s\\n" % (name.encode(), number, name.encode() * (number % 900)))
        os._exit(0 if writer.flush(30) else 1)
    children.append(child)
writer.write(b"parent after\\n")
ends = [os.waitpid(child, 0)[1] for child in children]
sys.exit(0 if writer.flush(30) and ends == [0, 0] else 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=_environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.splitlines()
    for name in (b"a", b"b"):
        own = [line for line in lines if line.startswith(name)]
        assert own == [b"%s %d %s" % (name, number, name * (number % 900)) for number in range(2000)]
    assert [line for line in lines if line.startswith(b"parent")] == [b"parent before", b"parent after"]
    assert len(lines) == 4002


def run(folder: Path, program: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a program in a process of its own."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, cwd=folder, env=_environment(), check=False)


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "raise SystemError"])
def test_queued_lines_are_written_at_exit(tmp_path: Path, end: str) -> None:
    """For every way in which Python ends a process."""
    program = f"""
import logging, sys
from bff.observe import logs
logs.configure("info", "json")
logging.getLogger("bff").warning("last words")
{end}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=_environment(), check=False
    )
    assert done.stdout.count(b"last words") == 1


def test_the_exit_does_not_wait_for_a_reader_that_does_not_read(tmp_path: Path) -> None:
    """The process waits a second at most. The test checks only that it ends."""
    program = """
import logging
from bff.observe import logs
logs.configure("info", "json")
for number in range(2000):
    logging.getLogger("bff").warning("x" * 100)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path, env=_environment())
    try:
        assert process.wait(_HANG_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_warnings_and_errors_of_finalizers_are_logged(tmp_path: Path) -> None:
    """Standard error may block too, and the message of a finalizer's error may contain a client's data."""
    program = """
import warnings
from bff.observe import logs
logs.configure("info", "json")
class Bad:
    def __del__(self):
        raise ValueError("secret")
Bad()
warnings.warn("careful")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=_environment(), check=False
    )
    assert done.stderr == b""
    assert b"careful" in done.stdout
    assert b'"kind":"ValueError"' in done.stdout
    assert b"secret" not in done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


def test_a_writer_starts_another_thread_after_its_thread_has_failed(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines that the thread had are counted as dropped, and later lines are written."""
    deaths: list[int] = []
    write = os.write

    def dying(end: int, data: bytes) -> int:
        if not deaths:
            deaths.append(len(data))
            raise MemoryError
        return write(end, data)

    monkeypatch.setattr(os, "write", dying)
    writer = LineWriter(pipe[1], notice)
    writer.write(b"lost\n")
    assert not writer.flush(_HANG_S)
    assert writer.dropped == 1
    writer.write(b"later\n")
    assert read_lines(pipe[0], 2) == [b"dropped 1", b"later"]
    assert writer.flush(_HANG_S)


def test_its_thread_is_a_daemon(pipe: tuple[int, int]) -> None:
    """It doesn't delay the exit."""
    writer = LineWriter(pipe[1], notice)
    writer.write(b"line\n")
    assert writer._thread is not None
    assert writer._thread.daemon
