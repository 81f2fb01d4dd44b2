"""Several processes that do the same work. One that dies is replaced; signals are passed on; the end of all is the end."""

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType

_log = logging.getLogger("bff.supervisor")
_STOP = (signal.SIGTERM, signal.SIGINT)
_LOOK_AGAIN_S = 0.2
_PAUSE_S = 1.0
"""Before a process is replaced, so that one that can't begin doesn't keep the machine busy with trying."""


def supervise(workers: int, work: Callable[[], None]) -> None:
    """Run `work` in so many forks of this process, until SIGTERM or SIGINT has ended them all. SIGHUP reaches each."""
    context = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = []
    stopping = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        stopping.set()
        _tell(processes, number)

    def begin() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the worker sets its own: not a reason to end
        for number in _STOP:
            signal.signal(number, signal.SIG_DFL)  # not the supervisor's: the worker sets its own
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOP, signal.SIGHUP))
        work()

    for number in _STOP:
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, lambda number, _: _tell(processes, number))
    while processes or not stopping.is_set():
        while len(processes) < workers and not stopping.is_set():
            with _signals_held_back():
                if not stopping.is_set():
                    processes.append(context.Process(target=begin))
                    processes[-1].start()
        multiprocessing.connection.wait([process.sentinel for process in processes], timeout=_LOOK_AGAIN_S)
        for process in [each for each in processes if each.exitcode is not None]:
            processes.remove(process)
            if not stopping.is_set():
                _log.error("worker replaced", extra={"fields": {"pid": process.pid, "exitcode": process.exitcode}})
                stopping.wait(_PAUSE_S)


def _tell(processes: Sequence[BaseProcess], number: int) -> None:
    for process in processes:
        if process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A signal waits until a fork is done. It would else find a worker that has no number yet, or still our own handler."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOP, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
