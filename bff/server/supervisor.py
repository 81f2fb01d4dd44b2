"""A supervisor process and its worker processes.

A worker that ends is replaced. A worker whose event loop is blocked is killed and replaced. Signals are passed on to the
workers. The supervisor ends when all workers have ended. After a stop, or after the supervisor has died, workers have
`stop_s` to end.
"""

import mmap
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Annotated

from annotated_types import Ge, Le

from bff.observe import logs
from bff.runtime.log import Log
from bff.runtime.options import options

_log = Log("bff.supervisor")
_STOP = (signal.SIGTERM, signal.SIGINT)
_CHECK_S = 0.2
_PAUSE_S = 1.0
"""Seconds before a worker is replaced. Doubled for each further worker that ends within `_STEADY_S` of its start."""
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
_MOST_GAP_S = 1.0
"""The most seconds that one check adds to a worker's silence: if the supervisor was suspended, so may be the workers."""


@dataclass(frozen=True, slots=True)
class SupervisorLink:
    """A worker's link to its supervisor.

    Attributes:
        beat: sends a heartbeat. The worker's event loop must call it regularly.
        is_stopping: whether all workers are stopping, and not only this one.
    """

    beat: Callable[[], None]
    is_stopping: Callable[[], bool]


@options
class SupervisorOptions:
    """Options for several workers.

    Attributes:
        unresponsive_s: a worker whose event loop is blocked for this many seconds is killed and replaced; 0: never.
    """

    unresponsive_s: Annotated[float, Ge(0), Le(3600)] = 30.0

    def __post_init__(self) -> None:
        """Raises `ValueError` for a limit below a second, which a worker could exceed while it starts."""
        if 0 < self.unresponsive_s < 1:
            raise ValueError(f"Expected 0 or at least 1 second, got {self.unresponsive_s}.")


class _Worker:
    """A worker process with its pulse, a byte of shared memory that changes with each heartbeat."""

    def __init__(self, now: float) -> None:
        self.began_at = now
        self.silent_s = 0.0
        self.process: BaseProcess | None = None
        self.is_killed = False
        self._pulse = mmap.mmap(-1, 1)
        self._seen = 0

    def beat(self) -> None:
        """Send a heartbeat. Called in the worker."""
        self._pulse[0] = (self._pulse[0] + 1) % 256

    def check(self, gap_s: float) -> float:
        """The seconds without a heartbeat. Called in the supervisor, `gap_s` seconds after the last check."""
        beats = self._pulse[0]
        self.silent_s = 0.0 if beats != self._seen else self.silent_s + min(gap_s, _MOST_GAP_S)
        self._seen = beats
        return self.silent_s

    def send_signal(self, number: int) -> None:
        """Send the process a signal, if it runs."""
        process = self.process
        if process is not None and process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.is_killed = True
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Release the shared memory, after the process has ended."""
        self._pulse.close()


class Supervisor:
    """Runs `work` in forks of this process, and keeps their number constant.

    Args:
        workers: the number of worker processes.
        work: runs in each worker, and must end on SIGTERM.
        options: see `SupervisorOptions`.
        stop_s: seconds that workers have to end after the signal to stop. Then they are killed.
        on_stop: called in this process on the signal to stop.
    """

    def __init__(
        self,
        workers: int,
        work: Callable[[SupervisorLink], None],
        options: SupervisorOptions,
        *,
        stop_s: float,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._number = workers
        self._work = work
        self._options = options
        self._stop_s = stop_s
        self._on_stop = on_stop
        self._workers: list[_Worker] = []
        self._stop_until: float | None = None
        self._deaths = 0
        self._not_before = 0.0
        self._stopping = mmap.mmap(-1, 1)  # shared with the workers
        # A pipe. Workers hold the reading end, which is at its end of file once this process has ended, for any reason.
        self._alive = os.pipe()

    def run(self) -> None:
        """Run until SIGTERM or SIGINT has ended all workers; a second signal kills them. SIGHUP is passed on to each."""
        for number in _STOP:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda number, _: self._pass_on(number))
        checked_at = time.monotonic()
        try:
            while self._workers or self._stop_until is None:
                self._begin_missing()
                multiprocessing.connection.wait(
                    [each.process.sentinel for each in self._workers if each.process], timeout=_CHECK_S
                )
                now = time.monotonic()
                self._replace_ended(now)
                self._check_workers(now, now - checked_at)
                checked_at = now
        finally:
            for end in self._alive:
                os.close(end)

    # Signals. Nothing is logged here: a handler may interrupt any code.

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self._stop_until is None:
            self._stop_until = time.monotonic() + self._stop_s
            self._stopping[0] = 1
            self._pass_on(number)
            self._on_stop()
        else:
            self._stop_until = 0.0

    def _pass_on(self, number: int) -> None:
        for worker in tuple(self._workers):
            worker.send_signal(number)

    # The supervisor's loop

    def _begin_missing(self) -> None:
        while len(self._workers) < self._number and self._stop_until is None and time.monotonic() >= self._not_before:
            with _signals_held_back():
                if self._stop_until is None:
                    self._fork()

    def _fork(self) -> None:
        worker = _Worker(time.monotonic())
        worker.process = multiprocessing.get_context("fork").Process(target=self._begin, args=(worker,))
        try:
            worker.process.start()
        except OSError as error:  # too many processes, or too little memory: try again later
            worker.close()
            pause_s = self._pause()
            _log.error("worker not started", reason=error.strerror, again_in_s=pause_s)
        else:
            self._workers.append(worker)

    def _replace_ended(self, now: float) -> None:
        for worker in [each for each in self._workers if each.process and each.process.exitcode is not None]:
            self._workers.remove(worker)
            worker.close()
            if self._stop_until is None and worker.process is not None:
                if now - worker.began_at >= _STEADY_S:
                    self._deaths = 0
                pause_s = self._pause()
                _log.error("worker replaced", pid=worker.process.pid, exitcode=worker.process.exitcode, in_s=pause_s)

    def _pause(self) -> float:
        """Delay the next start, and return by how much: longer each time, since a worker may fail at once each time."""
        pause_s = pause_after(self._deaths)
        self._deaths += 1
        self._not_before = time.monotonic() + pause_s
        return pause_s

    def _check_workers(self, now: float, gap_s: float) -> None:
        is_late = self._stop_until is not None and now >= self._stop_until
        limit_s = self._options.unresponsive_s
        for worker in self._workers:
            silent_s = worker.check(gap_s)
            if worker.is_killed or worker.process is None:
                continue
            if is_late:
                worker.kill()
                _log.error("worker killed: it did not stop", pid=worker.process.pid)
            elif limit_s and silent_s >= limit_s:
                worker.kill()
                _log.error("worker killed: its event loop is blocked", pid=worker.process.pid, silent_s=round(silent_s, 1))

    # In the worker

    def _begin(self, worker: _Worker) -> None:
        signal.signal(
            signal.SIGHUP, signal.SIG_IGN
        )  # by default it ends a process: ignored until the worker sets its own handler
        for number in _STOP:
            signal.signal(number, signal.SIG_DFL)  # not the supervisor's handler; the worker sets its own
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOP, signal.SIGHUP))
        reading, writing = self._alive
        os.close(writing)  # only the supervisor may hold it open
        threading.Thread(target=self._watch_supervisor, args=(reading,), name="supervisor watch", daemon=True).start()
        try:
            self._work(SupervisorLink(worker.beat, lambda: bool(self._stopping[0])))
        finally:
            logs.flush()  # a fork ends without Python's exit handlers

    def _watch_supervisor(self, reading: int) -> None:
        """Stop this worker when the supervisor has died. A thread of its own, since the event loop may be blocked."""
        while os.read(reading, 1):
            pass
        _log.error("the supervisor has died: the worker stops")
        self._stopping[0] = 1
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._stop_s)
        os.kill(os.getpid(), signal.SIGKILL)


def pause_after(deaths: int) -> float:
    """Seconds before the next worker starts, after `deaths` workers that ended soon after their start."""
    pause_s = _PAUSE_S
    for _ in range(deaths):
        if pause_s >= _LONGEST_PAUSE_S:
            break
        pause_s *= 2
    return min(pause_s, _LONGEST_PAUSE_S)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Block signals during a fork: a handler could find a worker without a process id, or run in the new worker."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOP, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
