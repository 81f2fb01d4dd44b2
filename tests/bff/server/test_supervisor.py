"""The supervisor, with real forks, in a process of its own. Scenarios with real workers: scenarios/test_commands.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bff.server.supervisor import _Worker, pause_after

_PATIENCE_S = 60
"""Seconds after which all processes of a test end by themselves."""

_PROGRAM = f"""
import logging, os, signal, sys, time
from pathlib import Path
from bff.server import supervisor

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

def supervise(workers, work, *, stop_s=3600.0, unresponsive_s=0.0):
    options = supervisor.SupervisorOptions(unresponsive_s)
    supervisor.Supervisor(workers, lambda link: work(), options, stop_s=stop_s, on_stop=lambda: say("stopping")).run()

logging.basicConfig(stream=sys.stdout, format="%(message)s %(fields)s")
signal.alarm({_PATIENCE_S})
"""


class Supervised:
    """A supervisor process, and the lines that it and its workers print."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said: list[str] = []

    def hear(self, beginning: str) -> str:
        """The next line that begins with this; fails if all processes have ended without one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if line.startswith(beginning):
                return line.rstrip()
        raise AssertionError(f"no line begins with {beginning!r}: {self.said}")

    def began(self, count: int) -> list[int]:
        """The process ids of that many workers that have started."""
        return [int(self.hear("began").split()[1]) for _ in range(count)]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the supervisor only."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """The supervisor's exit code, after all processes have ended."""
        assert self.process.stdout is not None
        self.said += self.process.stdout.read().splitlines()
        return self.process.wait(_PATIENCE_S)


@contextmanager
def supervised(folder: Path, program: str) -> Iterator[Supervised]:
    """A process that runs `_PROGRAM` and then `program`. It and its workers are killed at the end."""
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
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_and_the_exit_code_is_0(tmp_path: Path, number: signal.Signals) -> None:
    """Each worker gets the supervisor's signal, none is replaced, and the supervisor ends after the last one."""
    program = """
def work():
    def stop(number, frame):
        say("told", os.getpid(), number)
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    wait()

supervise(3, work)
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
    """The number of workers stays the same. The log names the worker that ended and its exit code."""
    program = """
def work():
    if is_first("one has died"):
        say("dies", os.getpid())
        os._exit(3)
    wait()

supervisor._PAUSE_S = 0.05
supervise(2, work)
"""
    with supervised(tmp_path, program) as running:
        died = running.hear("dies").split()[1]
        assert running.hear("worker replaced") == f"worker replaced {{'pid': {died}, 'exitcode': 3, 'in_s': 0.05}}"
        assert running.process.poll() is None
        everybody = {int(line.split()[1]) for line in running.said if line.startswith("began")}
        everybody |= set(running.began(2 - len(everybody)))
        assert int(died) not in everybody
        running.stop()
        assert running.exit_code() == 0


def test_a_stop_does_not_wait_for_the_pause(tmp_path: Path) -> None:
    """A stop during the pause before a replacement ends at once, and starts no worker."""
    program = """
supervisor._PAUSE_S = supervisor._LONGEST_PAUSE_S = 3600.0
supervise(1, lambda: say("ran"))
"""
    with supervised(tmp_path, program) as running:
        assert "'in_s': 3600.0" in running.hear("worker replaced")
        running.stop()
        assert running.exit_code() == 0
    assert running.said.count("ran") == 1


def test_it_waits_for_workers_that_drain(tmp_path: Path) -> None:
    """A worker that drains within `stop_s` is not killed."""
    program = """
def work():
    def stop(number, frame):
        say("signal")
        done.append(number)
    done = []
    signal.signal(signal.SIGTERM, stop)
    say("began")
    while not done:
        signal.pause()
    while not os.path.exists("go on"):
        time.sleep(0.01)

look = supervisor.multiprocessing.connection.wait
def told(sentinels, timeout):
    say("looks at", len(sentinels))
    return look(sentinels, timeout)

supervisor.multiprocessing.connection.wait = told
supervisor._CHECK_S = 0.01
supervise(1, work)
say("over")
"""
    with supervised(tmp_path, program) as running:
        running.hear("began")
        running.stop()
        running.hear("signal")
        for _ in range(3):
            running.hear("looks at 1")
        assert "over" not in running.said
        (tmp_path / "go on").touch()
        running.hear("over")
        assert running.exit_code() == 0
        assert not any("killed" in line for line in running.said)


DEAF = """
def deaf():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    wait()
"""


def test_workers_that_do_not_stop_in_time_are_killed(tmp_path: Path) -> None:
    """The log names them, and the exit code is still 0."""
    with supervised(tmp_path, DEAF + "supervise(2, deaf, stop_s=0.3)") as running:
        workers = running.began(2)
        running.stop()
        assert running.exit_code() == 0
    killed = [line for line in running.said if line.startswith("worker killed")]
    assert sorted(killed) == sorted(f"worker killed: it did not stop {{'pid': {worker}}}" for worker in workers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_kills_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """A second signal kills the workers at once, although an hour is left."""
    with supervised(tmp_path, DEAF + "supervise(2, deaf)") as running:
        running.began(2)
        running.stop()
        running.hear("stopping")  # before that, the same signal twice would be one
        running.stop(number)
        assert running.exit_code() == 0


def test_a_worker_whose_loop_is_blocked_is_replaced(tmp_path: Path) -> None:
    """It is killed, though it ignores all signals. A worker that sends heartbeats is not."""
    program = """
def work(link):
    if is_first("one hangs"):
        say("hangs", os.getpid())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
    say("began", os.getpid())
    while True:
        link.beat()
        time.sleep(0.02)

supervisor._PAUSE_S = 0.05
supervisor.Supervisor(1, work, supervisor.SupervisorOptions(1.0), stop_s=3600.0).run()
"""
    with supervised(tmp_path, program) as running:
        hangs = running.hear("hangs").split()[1]
        assert running.hear("worker killed").startswith(
            f"worker killed: its event loop is blocked {{'pid': {hangs}, 'silent_s': 1."
        )
        assert f"'pid': {hangs}, 'exitcode': -9" in running.hear("worker replaced")
        running.began(1)
        running.stop()
        assert running.exit_code() == 0


@pytest.mark.parametrize("work", ["wait", "deaf"])
def test_workers_do_not_outlive_their_supervisor(tmp_path: Path, work: str) -> None:
    """After the supervisor was killed they stop. A worker that doesn't stop in time is killed."""
    with supervised(tmp_path, DEAF + f"supervise(3, {work}, stop_s=0.3)") as running:
        running.began(3)
        running.stop(signal.SIGKILL)
        assert running.exit_code() == -signal.SIGKILL
        assert sum(line.startswith("the supervisor has died") for line in running.said) == 3


def test_a_suspended_supervisor_counts_no_silence() -> None:
    """The gaps between checks add up until a heartbeat. A long gap counts little, since the whole machine was suspended."""
    worker = _Worker(0.0)
    assert [worker.check(0.4), worker.check(0.4), worker.check(3600.0)] == pytest.approx([0.4, 0.8, 1.8])
    worker.beat()
    assert worker.check(0.4) == 0.0
    assert worker.check(0.4) == pytest.approx(0.4)
    for _ in range(257):
        worker.beat()
    assert worker.check(0.4) == 0.0
    worker.close()


def test_pauses_are_doubled_up_to_a_limit() -> None:
    """For any number of workers that ended one after the other."""
    assert [pause_after(number) for number in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert pause_after(1_000_000) == 30.0


def test_pauses_start_again_after_a_worker_that_ran_long(tmp_path: Path) -> None:
    """Only workers that end soon after their start make the pauses longer."""
    program = """
supervisor._PAUSE_S = 0.01
supervisor._STEADY_S = {steady}
supervise(1, lambda: None)
"""
    for steady, pauses in (("3600.0", ["0.01", "0.02", "0.04"]), ("0.0", ["0.01", "0.01", "0.01"])):
        with supervised(tmp_path, program.format(steady=steady)) as running:
            lines = [running.hear("worker replaced") for _ in range(3)]
        assert [line.partition("'in_s': ")[2].rstrip("}") for line in lines] == pauses


def test_a_signal_during_a_fork_reaches_the_worker_too(tmp_path: Path) -> None:
    """A handler once found a worker without a process id, which then ran on for ever, and the supervisor with it."""
    program = """
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
supervise(2, wait)
"""
    with supervised(tmp_path, program) as running:
        assert running.exit_code() == 0
    assert len([line for line in running.said if line.startswith("began")]) <= 1


def test_a_signal_just_before_a_fork_prevents_it(tmp_path: Path) -> None:
    """A worker that starts after the signal was passed on would never get it."""
    program = """
mask = signal.pthread_sigmask
def late(how, numbers):
    if how == signal.SIG_BLOCK and is_first("signal"):
        os.kill(os.getpid(), signal.SIGTERM)
    return mask(how, numbers)

supervisor.signal.pthread_sigmask = late
supervise(2, wait)
"""
    with supervised(tmp_path, program) as running:
        assert running.exit_code() == 0
    assert running.said == ["stopping"]


def test_a_signal_to_a_worker_just_forked_ends_it(tmp_path: Path) -> None:
    """The worker had inherited the supervisor's handler, which once lost the signal."""
    program = """
os.register_at_fork(after_in_child=lambda: is_first("one is told") and os.kill(os.getpid(), signal.SIGTERM))
supervisor._PAUSE_S = 0.0
supervise(1, wait)
"""
    with supervised(tmp_path, program) as running:
        assert "'exitcode': -15," in running.hear("worker replaced")
        running.began(1)
        running.stop()
        assert running.exit_code() == 0


def test_sighup_reaches_every_worker_and_ends_none(tmp_path: Path) -> None:
    """It asks them to reload the settings. By default it ends a process."""
    program = """
def work():
    signal.signal(signal.SIGHUP, lambda number, frame: say("reads", os.getpid()))
    wait()

supervise(2, work)
"""
    with supervised(tmp_path, program) as running:
        workers = running.began(2)
        running.stop(signal.SIGHUP)
        assert sorted(int(running.hear("reads").split()[1]) for _ in workers) == sorted(workers)
        assert running.process.poll() is None
        running.stop()
        assert running.exit_code() == 0


def test_sighup_ends_no_worker_that_is_starting(tmp_path: Path) -> None:
    """A worker that was just forked has no handler of its own yet."""
    program = """
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGHUP))
supervisor._PAUSE_S = 0.0
supervise(1, wait)
"""
    with supervised(tmp_path, program) as running:
        running.began(1)
        running.stop()
        assert running.exit_code() == 0
        assert not any("replaced" in line for line in running.said)
