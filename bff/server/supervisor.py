"""A supervisor process and its worker processes.

A worker that ends is replaced; one whose event loop is blocked is killed and replaced. Signals are passed on. The supervisor
ends when all workers have. After a stop workers have `stop_s` to end, also when the supervisor itself has died.
"""

import logging
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
from bff.runtime.options import options

_log = logging.getLogger("bff.supervisor")
_STOP = (signal.SIGTERM, signal.SIGINT)
_LOOK_AGAIN_S = 0.2
_PAUSE_S = 1.0
"""Seconds before a worker is replaced; doubled for each further one that ends within `_STEADY_S`."""
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
_LONGEST_GAP_S = 1.0
"""The most that one look adds to a worker's silence: if the supervisor was suspended, the workers perhaps were too."""


@dataclass(frozen=True, slots=True)
class Ties:
    """A worker's link to its supervisor.

    Attributes:
        beat: the heartbeat, to be called regularly by the worker's event loop.
        is_over: whether all workers are stopping, and not only this one.
    """

    beat: Callable[[], None]
    is_over: Callable[[], bool]


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
        """Called in the worker: a heartbeat."""
        self._pulse[0] = (self._pulse[0] + 1) % 256

    def look(self, gap_s: float) -> float:
        """Called in the supervisor, `gap_s` after the last look: the seconds without a heartbeat."""
        beats = self._pulse[0]
        self.silent_s = 0.0 if beats != self._seen else self.silent_s + min(gap_s, _LONGEST_GAP_S)
        self._seen = beats
        return self.silent_s

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        process = self.process
        if process is not None and process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.is_killed = True
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Release its shared memory, once it has ended."""
        self._pulse.close()


class Supervisor:
    """Keeps `workers` forks of this process at `work`.

    Args:
        workers: how many.
        work: what each worker runs; it must end on SIGTERM.
        options: see `SupervisorOptions`.
        stop_s: seconds that workers have to end after the signal to stop; then they are killed.
        on_stop: called in this process on the signal to stop.
    """

    def __init__(
        self,
        workers: int,
        work: Callable[[Ties], None],
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
        self._over = mmap.mmap(-1, 1)  # shared with the workers
        # A pipe: workers hold the reading end and see its end of file when this process has ended, for whatever reason.
        self._alive = os.pipe()

    def run(self) -> None:
        """Run until SIGTERM or SIGINT has ended all workers; a second signal kills them. SIGHUP is passed on to each."""
        for number in _STOP:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda number, _: self._tell(number))
        looked_at = time.monotonic()
        try:
            while self._workers or self._stop_until is None:
                self._begin_missing()
                multiprocessing.connection.wait(
                    [each.process.sentinel for each in self._workers if each.process], timeout=_LOOK_AGAIN_S
                )
                now = time.monotonic()
                self._replace_ended(now)
                self._look_after(now, now - looked_at)
                looked_at = now
        finally:
            for end in self._alive:
                os.close(end)

    # Signals. Nothing is logged here: a handler may interrupt any code.

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self._stop_until is None:
            self._stop_until = time.monotonic() + self._stop_s
            self._over[0] = 1
            self._tell(number)
            self._on_stop()
        else:
            self._stop_until = 0.0

    def _tell(self, number: int) -> None:
        for worker in tuple(self._workers):
            worker.send_signal(number)

    # The supervisor's rounds

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
        except OSError as error:  # too many processes, or too little memory: perhaps later
            worker.close()
            pause_s = self._pause()
            _log.error("no worker begun", extra={"fields": {"reason": error.strerror, "again_in_s": pause_s}})
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
                fields = {"pid": worker.process.pid, "exitcode": worker.process.exitcode, "in_s": pause_s}
                _log.error("worker replaced", extra={"fields": fields})

    def _pause(self) -> float:
        """Delay the next start, longer each time, so that a worker that can't start doesn't keep the machine busy."""
        pause_s = pause_after(self._deaths)
        self._deaths += 1
        self._not_before = time.monotonic() + pause_s
        return pause_s

    def _look_after(self, now: float, gap_s: float) -> None:
        is_over = self._stop_until is not None and now >= self._stop_until
        limit_s = self._options.unresponsive_s
        for worker in self._workers:
            silent_s = worker.look(gap_s)
            if worker.is_killed or worker.process is None:
                continue
            if is_over:
                worker.kill()
                _log.error("worker killed: it did not stop", extra={"fields": {"pid": worker.process.pid}})
            elif limit_s and silent_s >= limit_s:
                worker.kill()
                fields = {"pid": worker.process.pid, "silent_s": round(silent_s, 1)}
                _log.error("worker killed: its event loop stands still", extra={"fields": fields})

    # In the worker

    def _begin(self, worker: _Worker) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the worker sets its own: not a reason to end
        for number in _STOP:
            signal.signal(number, signal.SIG_DFL)  # not the supervisor's: the worker sets its own
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOP, signal.SIGHUP))
        reading, writing = self._alive
        os.close(writing)  # it must be open in the supervisor alone
        threading.Thread(target=self._follow, args=(reading,), name="supervisor watch", daemon=True).start()
        try:
            self._work(Ties(worker.beat, lambda: bool(self._over[0])))
        finally:
            logs.flush()  # a fork ends without Python's own exit

    def _follow(self, reading: int) -> None:
        """A thread: stop this worker when the supervisor has died, even if the event loop is blocked."""
        while os.read(reading, 1):
            pass
        _log.error("the supervisor is gone", extra={"fields": {}})
        self._over[0] = 1
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
    """A signal waits until a fork is done. It would else find a worker that has no number yet, or still our own handler."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOP, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
