"""Writes log lines to a file descriptor from a separate thread, so that a slow reader can't block the event loop.

Lines wait in a queue of limited size. When it is full, lines are dropped and counted. Lines stay in order and whole:
several processes may share one pipe, in which only writes of up to `PIPE_BUF` bytes are atomic (POSIX, `write`).
"""

import os
import select
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue

MAX_BYTES = 4 * 1024 * 1024
_LINE_BYTES = 50
"""Memory of a queued line besides its text, in bytes: an object's header and a reference. An estimate."""
_FILE_WRITE_BYTES = 64 * 1024
_GATHER_S = 0.02
"""Seconds for which the thread collects lines after the first, so that it wakes up at most 50 times a second."""
_POLL_S = 0.005


class LineWriter:
    """Appends lines to `fd`. Thread-safe and reentrant: it may be called from a finalizer or a signal handler."""

    def __init__(self, fd: int, notice: Callable[[int], bytes], max_bytes: int = MAX_BYTES) -> None:
        """Make a writer. Its thread starts with the first line, and again in a forked process.

        Args:
            fd: the file descriptor to write to. It is not closed.
            notice: formats the line that says how many lines were dropped. It is written as soon as there is room again.
            max_bytes: the maximum size of the queue.
        """
        self._fd = fd
        self._notice = notice
        self._max_bytes = max_bytes
        self._begin()
        itself = weakref.ref(self)

        def after_fork() -> None:
            writer = itself()
            if writer is not None:
                writer._begin()  # noqa: SLF001 - a method of this class

        os.register_at_fork(after_in_child=after_fork)

    def __repr__(self) -> str:
        return f"<LineWriter {self._fd}: {self._queued - self._done} bytes wait, {self.dropped} lines dropped>"

    def _begin(self) -> None:
        """Start with an empty queue. After a fork, the parent writes the lines of its own queue."""
        # A signal handler or a finalizer may log in the middle of `write`, so the lock and the queue must be reentrant.
        self._lock = threading.RLock()
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._queued = self._done = 0
        self.dropped = 0
        """The number of lines that were dropped since the process started."""
        self._unreported = 0
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """Queue a line that ends with a line feed. Never blocks: if there is no room, the line is dropped."""
        size = len(line) + _LINE_BYTES
        with self._lock:
            if self._unreported or self._queued - self._done + size > self._max_bytes:
                # After it was full, the queue takes lines only when half of it is free, or lines and notices would mix.
                if self._queued - self._done + size > self._max_bytes // 2:
                    self.dropped += 1
                    self._unreported += 1
                    return
                self._queue_notice()
            self._queued += size
            self._lines.put(line)
            if self._thread is None:
                self._start()

    def _queue_notice(self) -> None:
        """Queue the notice of the lines that were dropped."""
        number, self._unreported = self._unreported, 0
        if number:
            line = self._notice(number)
            self._queued += len(line) + _LINE_BYTES
            self._lines.put(line)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, args=(self._lines,), name="log writer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or the system has no thread left
            self._thread = None

    def flush(self, timeout_s: float = 1.0) -> bool:
        """Wait until all lines are written, for at most `timeout_s` seconds. Returns whether they are."""
        until = time.monotonic() + timeout_s
        self._hurry.set()
        try:
            while self._queued > self._done or self._unreported:
                if time.monotonic() >= until or self._thread is None or not self._thread.is_alive():
                    return False
                time.sleep(_POLL_S)
        finally:
            self._hurry.clear()
        return True

    def _run(self, lines: "SimpleQueue[bytes]") -> None:
        batch: list[bytes] = []
        try:
            while True:
                batch = [lines.get()]
                self._hurry.wait(_GATHER_S)
                batch += _waiting(lines)
                while batch:
                    for chunk, number in _chunks(batch, _most_at_once(self._fd)):
                        self._write(chunk, number)
                    batch = list(_waiting(lines))
                    if not batch and self._unreported:
                        with self._lock:
                            self._queue_notice()
                        batch = list(_waiting(lines))
        except Exception:  # noqa: BLE001 - no memory, for example: the lines are counted as dropped, and the next one starts another thread
            self._begin_again(len(batch) + lines.qsize())

    def _begin_again(self, lost: int) -> None:
        """Start with an empty queue after the thread has failed. The next line starts another thread."""
        with self._lock:
            self._lines = SimpleQueue()
            self._queued = self._done = 0
            self.dropped += lost
            self._unreported += lost
            self._thread = None

    def _write(self, chunk: bytes, number: int) -> None:
        """Write lines, which may block for any time. If it fails (no reader, no space) they are dropped."""
        left = b"\n" + chunk if self._is_torn else chunk
        try:
            while left:
                try:
                    left = left[os.write(self._fd, left) :]
                except BlockingIOError:  # the process was started with a non-blocking pipe
                    _wait_until_writable(self._fd)
            self._is_torn = False
        except OSError:
            self._is_torn = self._is_torn or 0 < len(left) < len(chunk)
            with self._lock:
                self.dropped += number
        self._done += len(chunk) + number * _LINE_BYTES


def _waiting(lines: "SimpleQueue[bytes]") -> Iterator[bytes]:
    try:
        while True:
            yield lines.get_nowait()
    except Empty:
        return


def _chunks(lines: Iterable[bytes], most: int) -> Iterator[tuple[bytes, int]]:
    """The lines joined into chunks of at most `most` bytes, each with its number of lines. A longer line goes alone."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and size + len(line) > most:
            yield b"".join(chunk), len(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield b"".join(chunk), len(chunk)


def _most_at_once(fd: int) -> int:
    """The most bytes that a single write may have so that another process's write can't split it."""
    try:
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        is_file = False
    return _FILE_WRITE_BYTES if is_file else select.PIPE_BUF


def _wait_until_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()
