"""Processes of the benchmark: start them on a core, ask what they have cost, end them. Linux only.

CPU time is the process's own clock in nanoseconds, all threads and children included, not the 10 ms ticks of
`/proc/PID/stat`.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

ROOT = Path(__file__).resolve().parents[2]
PROC = Path("/proc")
PROCESS_CPU_CLOCK = 2  # linux/include/linux/posix-timers.h: CPUCLOCK_SCHED, without the per-thread bit


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started inside begin on `core` and stay there; this one comes back after it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live now."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, ())
    return found


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # ended while we looked
        return None


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds, user and system, that these processes have used so far."""
    return sum(time.clock_gettime_ns((~pid << 3) | PROCESS_CPU_CLOCK) for pid in pids) / 1e9


def rss_mib(pids: Sequence[int]) -> float:
    """Resident memory of these processes, in MiB."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int((PROC / str(pid) / "statm").read_text().split()[1]) for pid in pids) * page / 2**20


class Process:
    """A child process with its log. Ends with the `with` block: SIGTERM first, SIGKILL after ten seconds."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int,
        env: Mapping[str, str] | None = None,
        piped: bool = False,
    ) -> None:
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        with on_core(core):
            self._popen = subprocess.Popen(  # commands are ours
                command,
                cwd=ROOT,
                env=None if env is None else dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else self._log,
                stderr=self._log,
            )

    def __repr__(self) -> str:
        return f"<Process {self.name} pid={self.pid} returncode={self._popen.poll()}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(10)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        self._log.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._popen.poll() is not None

    def line(self) -> str:
        """The next line of its standard output, which must be `piped`; empty at its end."""
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().decode()

    def log(self) -> str:
        """The last of what it wrote."""
        self._log.seek(0)
        return self._log.read()[-4000:].decode(errors="replace").strip()
