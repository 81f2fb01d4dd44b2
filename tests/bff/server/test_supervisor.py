"""The supervisor, with real forks in a process of its own. What workers really do is in scenarios/test_commands.py."""

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
"""After so long everything that a test has begun ends by itself."""

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
    supervisor.Supervisor(workers, lambda ties: work(), options, stop_s=stop_s, on_stop=lambda: say("stopping")).run()

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
    """As many as were asked for go on; the log says which one went, and how."""
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
    """Before a replacement there is one; asked to stop while it lasts, the supervisor begins none."""
    program = """
supervisor._PAUSE_S = supervisor._LONGEST_PAUSE_S = 3600.0
supervise(1, lambda: say("ran"))
"""
    with supervised(tmp_path, program) as running:
        assert "'in_s': 3600.0" in running.hear("worker replaced")
        running.stop()
        assert running.exit_code() == 0
    assert running.said.count("ran") == 1


def test_it_waits_for_workers_that_finish(tmp_path: Path) -> None:
    """A worker that drains in its time is not cut off by the supervisor."""
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
supervisor._LOOK_AGAIN_S = 0.01
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


def test_workers_that_do_not_stop_are_killed_when_their_time_is_over(tmp_path: Path) -> None:
    """The log says which, and the exit code is that of any stop that was asked for."""
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


def test_a_worker_whose_loop_stands_still_is_replaced(tmp_path: Path) -> None:
    """It is killed, though it ignores all signals; one that beats is left alone."""
    program = """
def work(ties):
    if is_first("one hangs"):
        say("hangs", os.getpid())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
    say("began", os.getpid())
    while True:
        ties.beat()
        time.sleep(0.02)

supervisor._PAUSE_S = 0.05
supervisor.Supervisor(1, work, supervisor.SupervisorOptions(1.0), stop_s=3600.0).run()
"""
    with supervised(tmp_path, program) as running:
        hangs = running.hear("hangs").split()[1]
        assert running.hear("worker killed").startswith(
            f"worker killed: its event loop stands still {{'pid': {hangs}, 'silent_s': 1."
        )
        assert f"'pid': {hangs}, 'exitcode': -9" in running.hear("worker replaced")
        running.began(1)
        running.stop()
        assert running.exit_code() == 0


@pytest.mark.parametrize("work", ["wait", "deaf"])
def test_workers_do_not_outlive_their_supervisor(tmp_path: Path, work: str) -> None:
    """However it went: they stop, and one that doesn't stop in its time is killed. All of them have ended here."""
    with supervised(tmp_path, DEAF + f"supervise(3, {work}, stop_s=0.3)") as running:
        running.began(3)
        running.stop(signal.SIGKILL)
        assert running.exit_code() == -signal.SIGKILL
        assert sum(line.startswith("the supervisor is gone") for line in running.said) == 3


def test_silence_is_what_the_supervisor_has_seen_of_it() -> None:
    """Looks add up until there is a beat; a long gap counts little: the machine stood still then, and not the worker."""
    worker = _Worker(0.0)
    assert [worker.look(0.4), worker.look(0.4), worker.look(3600.0)] == pytest.approx([0.4, 0.8, 1.8])
    worker.beat()
    assert worker.look(0.4) == 0.0
    assert worker.look(0.4) == pytest.approx(0.4)
    for _ in range(257):
        worker.beat()
    assert worker.look(0.4) == 0.0
    worker.close()


def test_pauses_grow_and_have_an_end() -> None:
    """However many workers have ended one after the other."""
    assert [pause_after(number) for number in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert pause_after(1_000_000) == 30.0


def test_a_worker_that_lived_long_begins_the_pauses_anew(tmp_path: Path) -> None:
    """Only those that end soon after they have begun make the next ones wait longer."""
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
    """It once found a worker without a number yet, which then ran on for ever, and the supervisor with it."""
    program = """
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
supervise(2, wait)
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
supervise(2, wait)
"""
    with supervised(tmp_path, program) as running:
        assert running.exit_code() == 0
    assert running.said == ["stopping"]


def test_a_signal_to_a_worker_just_forked_ends_it(tmp_path: Path) -> None:
    """It once met the supervisor's handler, which the worker had inherited, and was lost."""
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


def test_a_hangup_reaches_every_worker_and_ends_none(tmp_path: Path) -> None:
    """It tells them to read the settings again; it would end a process that has no handler."""
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


def test_a_hangup_ends_no_worker_that_has_not_begun(tmp_path: Path) -> None:
    """Just forked, with no handler of its own yet."""
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
