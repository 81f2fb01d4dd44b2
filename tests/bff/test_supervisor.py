"""The supervisor, with real forks in a process of its own. What workers really do is in scenarios/test_commands.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_PATIENCE_S = 10
"""After so long everything that a test has begun ends by itself."""

_PROGRAM = f"""
import logging, os, signal, sys
from pathlib import Path
from bff import supervisor

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # whole, whichever process says it

def is_first(name):
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def wait():
    signal.alarm({_PATIENCE_S})
    say("began", os.getpid())
    while True:
        signal.pause()

logging.basicConfig(stream=sys.stdout, format="%(message)s %(fields)s")
signal.alarm({_PATIENCE_S})
"""


class Supervised:
    """A supervising process, and what it and its workers say."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said: list[str] = []

    def hear(self, beginning: str) -> str:
        """The next line that begins so; fails where all have ended without one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if line.startswith(beginning):
                return line.rstrip()
        raise AssertionError(f"nobody said {beginning!r}, but {self.said}")

    def began(self, count: int) -> list[int]:
        """The numbers of so many workers that have begun."""
        return [int(self.hear("began").split()[1]) for _ in range(count)]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the supervisor alone."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """How it ended, once every process that could say anything has."""
        assert self.process.stdout is not None
        self.said += self.process.stdout.read().splitlines()
        return self.process.wait(_PATIENCE_S)


@contextmanager
def supervised(folder: Path, program: str) -> Iterator[Supervised]:
    """A process that runs `program` after `_PROGRAM`; whatever is left of it and its workers is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True,
    )
    try:
        yield Supervised(process)
    finally:
        with suppress(ProcessLookupError):  # nobody is left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_and_the_exit_code_is_0(tmp_path: Path, number: signal.Signals) -> None:
    """Each worker gets the signal that the supervisor got, none is replaced, and their end is the end."""
    program = """
def work():
    def stop(number, frame):
        say("told", os.getpid(), number)
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    wait()

supervisor.supervise(3, work)
"""
    with supervised(tmp_path, program) as running:
        workers = running.began(3)
        running.stop(number)
        assert running.exit_code() == 0
    assert len(set(workers)) == 3
    assert running.process.pid not in workers
    assert sorted(line for line in running.said if line.startswith("told")) == sorted(
        f"told {worker} {number.value}" for worker in workers
    )
    assert len([line for line in running.said if line.startswith("began")]) == 3
    assert not any("replaced" in line for line in running.said)


def test_a_worker_that_ends_is_replaced_after_the_pause(tmp_path: Path) -> None:
    """As many as were asked for go on; the log says which one went, and how."""
    program = """
def work():
    if is_first("one has died"):
        say("dies", os.getpid())
        os._exit(3)
    wait()

supervisor._PAUSE_S = 0.05
supervisor.supervise(2, work)
"""
    with supervised(tmp_path, program) as running:
        died = running.hear("dies").split()[1]
        assert running.hear("worker replaced") == f"worker replaced {{'pid': {died}, 'exitcode': 3}}"
        assert running.process.poll() is None
        everybody = {int(line.split()[1]) for line in running.said if line.startswith("began")}
        everybody |= set(running.began(2 - len(everybody)))
        assert int(died) not in everybody
        running.stop()
        assert running.exit_code() == 0


def test_a_stop_does_not_wait_for_the_pause(tmp_path: Path) -> None:
    """Before a replacement there is one; asked to stop while it lasts, the supervisor begins none."""
    program = """
class Event(supervisor.threading.Event):
    def wait(self, timeout=None):
        say("pauses", timeout)
        return super().wait(timeout)

supervisor.threading.Event = Event
supervisor._PAUSE_S = 3600.0
supervisor.supervise(1, lambda: say("ran"))
"""
    with supervised(tmp_path, program) as running:
        running.hear("pauses 3600.0")
        running.stop()
        assert running.exit_code() == 0
    assert running.said.count("ran") == 1


def test_it_waits_for_workers_that_finish_and_passes_a_second_signal_on(tmp_path: Path) -> None:
    """A worker that drains is not cut off by the supervisor; who is impatient signals again."""
    program = """
def work():
    signals = []
    def stop(number, frame):
        signals.append(number)
        say("signal", len(signals))
        if len(signals) == 2:
            os._exit(0)
    signal.signal(signal.SIGTERM, stop)
    wait()

look = supervisor.multiprocessing.connection.wait
def told(sentinels, timeout):
    say("looks at", len(sentinels))
    return look(sentinels, timeout)

supervisor.multiprocessing.connection.wait = told
supervisor._LOOK_AGAIN_S = 0.01
supervisor.supervise(1, work)
say("over")
"""
    with supervised(tmp_path, program) as running:
        running.began(1)
        running.stop()
        running.hear("signal 1")
        for _ in range(3):
            running.hear("looks at 1")
        assert "over" not in running.said
        running.stop()
        running.hear("signal 2")
        running.hear("over")
        assert running.exit_code() == 0


def test_a_signal_during_a_fork_reaches_the_worker_too(tmp_path: Path) -> None:
    """It once found a worker without a number yet, which then ran on for ever, and the supervisor with it."""
    program = """
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
supervisor.supervise(2, wait)
"""
    with supervised(tmp_path, program) as running:
        assert running.exit_code() == 0
    assert len([line for line in running.said if line.startswith("began")]) <= 1


def test_a_signal_just_before_a_fork_prevents_it(tmp_path: Path) -> None:
    """A worker begun after the others were told would never be told itself."""
    program = """
mask = signal.pthread_sigmask
def late(how, numbers):
    if how == signal.SIG_BLOCK and is_first("signal"):
        os.kill(os.getpid(), signal.SIGTERM)
    return mask(how, numbers)

supervisor.signal.pthread_sigmask = late
supervisor.supervise(2, wait)
"""
    with supervised(tmp_path, program) as running:
        assert running.exit_code() == 0
    assert running.said == []


def test_a_signal_to_a_worker_just_forked_ends_it(tmp_path: Path) -> None:
    """It once met the supervisor's handler, which the worker had inherited, and was lost."""
    program = """
os.register_at_fork(after_in_child=lambda: is_first("one is told") and os.kill(os.getpid(), signal.SIGTERM))
supervisor._PAUSE_S = 0.0
supervisor.supervise(1, wait)
"""
    with supervised(tmp_path, program) as running:
        assert running.hear("worker replaced").endswith("'exitcode': -15}")
        running.began(1)
        running.stop()
        assert running.exit_code() == 0


def test_a_hangup_reaches_every_worker_and_ends_none(tmp_path: Path) -> None:
    """It tells them to read the settings again; it would end a process that has no handler."""
    program = """
def work():
    signal.signal(signal.SIGHUP, lambda number, frame: say("reads", os.getpid()))
    wait()

supervisor.supervise(2, work)
"""
    with supervised(tmp_path, program) as running:
        workers = running.began(2)
        running.stop(signal.SIGHUP)
        assert sorted(int(running.hear("reads").split()[1]) for _ in workers) == sorted(workers)
        assert running.process.poll() is None
        running.stop()
        assert running.exit_code() == 0


def test_a_hangup_ends_no_worker_that_has_not_begun(tmp_path: Path) -> None:
    """Just forked, with no handler of its own yet."""
    program = """
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGHUP))
supervisor._PAUSE_S = 0.0
supervisor.supervise(1, wait)
"""
    with supervised(tmp_path, program) as running:
        running.began(1)
        running.stop()
        assert running.exit_code() == 0
        assert not any("replaced" in line for line in running.said)
