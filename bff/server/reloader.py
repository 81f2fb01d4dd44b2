"""`bff dev --reload`: runs a command in a child process, and starts it again when a file changes.

1. The parent holds the listening socket and hands it down. So a request that comes during a restart waits for its answer.
2. A child that ends by itself, as with a syntax error, is started again at the next change.
3. One spare child has imported the libraries already (`reloaded.py`), so that a restart takes a fraction of a second.
4. On SIGTERM or SIGINT the child stops, then the parent. A second signal kills the child. A child ends when the parent dies.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from bff.server import reloaded

MAX_ENTRIES = 20_000
"""Files and folders that are looked at in one round."""
_ENDINGS = (".py", ".graphql", ".toml")
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "build", "dist"})
_POLL_S = 0.2
_MOST_OF_TIME = 0.05
"""The share of the time that may be spent looking at files: in a very large folder there is more time between two rounds."""
_SETTLE_S = 0.05
"""Files are taken as written completely when a round this much later finds no further change."""
_LONGEST_SETTLE_S = 1.0
_RESTART_GRACE_S = 0.5
"""Seconds that requests have to finish before a restart."""
_NAMES_SHOWN = 3
_CODE = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"

_Signature = tuple[int, int, int]


class FileWatch:
    """Finds changed source, schema and settings files below a folder, by time, size and inode.

    Hidden folders, virtual environments, caches and build folders are left out; links to folders are not followed.

    Attributes:
        is_partial: whether the folder has more than `max_entries` entries, so that some files are not watched.
    """

    def __init__(self, folder: Path, max_entries: int = MAX_ENTRIES) -> None:
        self._folder = str(folder)
        self._max_entries = max_entries
        self.is_partial = False
        self._seen = self._scan()

    def changed(self) -> list[str]:
        """The files that were added, changed or removed since the last call, relative to the folder and sorted."""
        before, self._seen = self._seen, self._scan()
        return sorted(
            os.path.relpath(path, self._folder)
            for path in before.keys() | self._seen.keys()
            if before.get(path) != self._seen.get(path)
        )

    def _scan(self) -> Mapping[str, _Signature]:
        found: dict[str, _Signature] = {}
        folders = [self._folder]
        left = self._max_entries
        while folders:
            for entry in _entries(folders.pop()):
                if not left:
                    self.is_partial = True
                    return found
                left -= 1
                # An entry may be gone by now.
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        if not _is_left_out(entry):
                            folders.append(entry.path)
                    elif entry.name.endswith(_ENDINGS):
                        status = entry.stat()
                        found[entry.path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            # Sorted, so that it is always the same files that are beyond the limit.
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_left_out(folder: os.DirEntry[str]) -> bool:
    name = folder.name
    return (
        name.startswith(".")
        or name in _LEFT_OUT
        or name.endswith(".egg-info")
        or os.path.exists(os.path.join(folder.path, "pyvenv.cfg"))  # noqa: PTH110, PTH118 - called for each folder, each round
    )


class _Child:
    """A child process: it imports the libraries, at `prepare` the application, and runs the command at `run`."""

    def __init__(self, arguments: Sequence[str], listener: socket.socket, alive: int) -> None:
        reading, self._words = os.pipe()
        handed_down = (listener.fileno(), alive, reading)
        command = [sys.executable, "-c", _CODE, reloaded.__file__, *map(str, handed_down), *arguments]
        try:
            self.process = subprocess.Popen(command, pass_fds=handed_down)  # noqa: S603 - this program itself
        finally:
            os.close(reading)

    def prepare(self, *, is_restart: bool) -> None:
        """Let it import the application."""
        self._say(reloaded.AGAIN if is_restart else reloaded.FIRST)

    def run(self) -> None:
        """Let it run the command. `prepare` comes first."""
        self._say(reloaded.RUN)

    def _say(self, word: bytes) -> None:
        with suppress(BrokenPipeError):  # it has ended already
            os.write(self._words, word)

    def close(self) -> None:
        """Kill it if it still runs. A second call does nothing."""
        if self._words < 0:
            return
        os.close(self._words)
        self._words = -1
        self.process.kill()
        self.process.wait()


class Reloader:
    """Runs `bff ARGUMENTS` in a child process, and starts it again when a file below `folder` changes.

    Args:
        arguments: of the command that the child runs. It gets the listener from `reloaded.handed_down`.
        folder: what is watched.
        listener: the listening socket; the caller closes it.
        stop_s: seconds that the child has to end after the signal to stop; then it is killed.
        say: shows a line to the developer.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, listener: socket.socket, *, stop_s: float, say: Callable[[str], None]
    ) -> None:
        self._arguments = arguments
        self._listener = listener
        self._stop_s = stop_s
        self._say = say
        self._files = FileWatch(folder)
        self._signals = 0
        self._woken = -1

    def run(self) -> None:
        """Run until SIGTERM or SIGINT has ended the child."""
        # A pipe: children hold the reading end and see its end of file when this process has ended, for whatever reason.
        alive, held = os.pipe()
        try:
            with self._handling_signals():
                self._run(alive)
        finally:
            os.close(alive)
            os.close(held)

    def _run(self, alive: int) -> None:
        if self._files.is_partial:
            self._say(f"Only the first {MAX_ENTRIES} files and folders of the working folder are watched.")
        child = _Child(self._arguments, self._listener, alive)
        child.prepare(is_restart=False)
        child.run()
        spare = _Child(self._arguments, self._listener, alive)
        try:
            while not self._signals:
                changed = self._next_change(child)
                if not changed:
                    continue
                self._say(f"Reloaded: {listed(changed)}")
                spare.prepare(is_restart=True)
                self._stop(child, _RESTART_GRACE_S)
                child, spare = spare, child
                if not self._signals:
                    child.run()
                    spare = _Child(self._arguments, self._listener, alive)
            self._stop(child, self._stop_s, is_last=True)
        finally:
            child.close()
            spare.close()

    def _next_change(self, child: _Child) -> list[str]:
        """Wait until files have changed; empty if a signal came first."""
        is_up = True
        while not self._signals:
            if is_up and child.process.poll() is not None:
                is_up = False
                self._say(f"Ended with exit code {child.process.returncode}. It starts again when a file changes.")
            began = time.monotonic()
            if changed := self._files.changed():
                return self._settled(changed)
            self._wait(max(_POLL_S, (time.monotonic() - began) / _MOST_OF_TIME))
        return []

    def _settled(self, changed: list[str]) -> list[str]:
        """All that changes until a round finds nothing new: an editor or a checkout writes several files."""
        until = time.monotonic() + _LONGEST_SETTLE_S
        found = set(changed)
        while time.monotonic() < until and not self._signals:
            self._wait(_SETTLE_S)
            further = self._files.changed()
            if not further:
                break
            found.update(further)
        return sorted(found)

    def _stop(self, child: _Child, grace_s: float, *, is_last: bool = False) -> None:
        """Let the child stop within `grace_s`, then kill it; at the last stop a second signal kills it too."""
        until = time.monotonic() + grace_s
        with suppress(ProcessLookupError):
            child.process.terminate()
        while (
            child.process.poll() is None and (left := until - time.monotonic()) > 0 and not (is_last and self._signals > 1)
        ):
            self._wait(left)
        child.close()

    # Signals

    @contextmanager
    def _handling_signals(self) -> Iterator[None]:
        """Count signals to stop, and end a wait when one comes or a child ends."""
        self._woken, waking = os.pipe()
        for end in (self._woken, waking):
            os.set_blocking(end, False)
        before = {number: signal.signal(number, self._count) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        previous = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(waking)

    def _count(self, _: int, __: FrameType | None) -> None:
        self._signals += 1

    def _wait(self, timeout_s: float) -> None:
        """Wait for a signal or the end of a child, `timeout_s` at most."""
        if select.select([self._woken], [], [], timeout_s)[0]:
            with suppress(BlockingIOError):
                os.read(self._woken, 4096)


def listed(paths: Sequence[str]) -> str:
    """The first paths, and how many more there are. What can't be shown in a terminal is escaped."""
    shown, more = [_printable(path) for path in paths[:_NAMES_SHOWN]], len(paths) - _NAMES_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _printable(path: str) -> str:
    # A file's name may be any bytes: invalid UTF-8 would make writing it fail, control characters would reach the terminal.
    return path if path.isprintable() else ascii(path)[1:-1]
