"""The child process of `bff dev --reload`: runs the command with the listening socket of its parent (`reloader.py`).

The parent starts it before it is needed. It imports the libraries, which takes most of a start, and waits. At the parent's
first word it imports the application, while the child before it still stops. At the second it runs the command. It ends when
its parent ends, for whatever reason.

The parent runs this file by its path and not as a module: `bff` itself may be what has changed.
"""

import importlib
import os
import runpy
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_HANDED_DOWN = "_BFF_HANDED_DOWN"
APP_VARIABLE = "_BFF_RELOADED_APP"
"""The environment variable with the name of the application, for the import before it is needed."""
_LIBRARIES = (
    "strawberry",
    "fastapi",
    "uvicorn",
    "uvloop",
    "httpx",
    "redis",
    "jwt",
    "pydantic_settings",
    "prometheus_client",
)
_STOP_S = 3.0
"""Seconds that this process has to stop after its parent has died."""
FIRST, AGAIN = b"1", b"2"
"""The parent's first word: import the application, for the first start or for a restart."""
RUN = b"3"
"""The parent's second word: run the command."""


@dataclass(frozen=True, slots=True)
class HandedDown:
    """What a child gets from its parent.

    Attributes:
        listener: the listening socket. The parent keeps it open, so it must not be shut down.
        is_restart: whether an earlier child ran before this one.
    """

    listener: socket.socket
    is_restart: bool


def handed_down() -> HandedDown | None:
    """What this process got from the parent that restarts it; None if it has no such parent. Only the first call gets it."""
    value = os.environ.pop(_HANDED_DOWN, "")
    if not value:
        return None
    descriptor, is_restart = value.split()
    return HandedDown(socket.socket(fileno=int(descriptor)), is_restart == AGAIN.decode())


def _main(listener: str, alive: str, words: str, *arguments: str) -> None:
    # A terminal signals parent and child. The parent passes the signal on, and the server sets its own handler.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(int(alive),), name="parent watch", daemon=True).start()
    for library in _LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    start = os.read(int(words), 1)
    if not start:
        return
    importlib.import_module("bff.commands.main")
    with suppress(Exception):  # a broken application fails again in the command, which shows why
        find = importlib.import_module("bff.app").find_app
        find(os.environ.pop(APP_VARIABLE, ""), Path.cwd())
    if os.read(int(words), 1) != RUN:
        return
    os.close(int(words))
    os.environ[_HANDED_DOWN] = f"{listener} {start.decode()}"
    sys.argv = ["bff", *arguments]
    runpy.run_module("bff", run_name="__main__")


def _follow(alive: int) -> None:
    """A thread: stop this process at the end of the file, which comes when the parent has ended."""
    while os.read(alive, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _main(*sys.argv[1:])
