"""Formats log lines and writes them to standard output, as containers expect: as JSON objects, or as text for a console.

A line has the fields of its event (`bff.runtime.log`) and nothing else of a request. Logging never waits for the reader of
the lines: see `writer`.
"""

import atexit
import json
import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

import orjson

from bff.observe.writer import LineWriter
from bff.runtime.frames import frames_of
from bff.runtime.log import DirectHandler, Log

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]
_STDOUT = 1
_as_json = json.JSONEncoder(default=str).encode
_root = logging.getLogger()
_LOGGER = "bff.log"
_log = Log(_LOGGER)


class _Timestamps:
    """Formats times in UTC with milliseconds. The text of the last second is cached, since most lines share it."""

    def __init__(self) -> None:
        self._known = (0, "1970-01-01T00:00:00")

    def text(self, seconds: float) -> str:
        """The text of a time, which is in seconds since 1970."""
        second = int(seconds // 1)
        micros = round((seconds - second) * 1e6)
        if micros == 1_000_000:
            second, micros = second + 1, 0
        known = self._known  # read once: another thread may replace it
        if known[0] != second:
            text = datetime.fromtimestamp(second, UTC).isoformat()[:19]
            known = self._known = (second, text)
        return f"{known[1]}.{micros // 1000:03d}Z"


class LineFormatter(logging.Formatter):
    """Formats log records, or the parts of a line without a record, since a record costs more than the rest of a line."""

    def __init__(self) -> None:
        super().__init__()
        self._timestamps = _Timestamps()

    def line(
        self, at: float, level: str, logger: str, message: str, fields: Mapping[str, Any], exception: str | None = None
    ) -> bytes:
        """A line with its line feed.

        `at` is in seconds since 1970, `level` in lower case, `exception` a formatted traceback.
        """
        raise NotImplementedError

    def encode(self, record: logging.LogRecord) -> bytes:
        """The record's line, with its line feed."""
        exception = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else None
        fields = getattr(record, "fields", {})
        return self.line(record.created, record.levelname.lower(), record.name, record.getMessage(), fields, exception)

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without its line feed."""
        return self.encode(record).decode()[:-1]


class JsonFormatter(LineFormatter):
    """One JSON object a line."""

    def line(
        self, at: float, level: str, logger: str, message: str, fields: Mapping[str, Any], exception: str | None = None
    ) -> bytes:
        """Time, level, logger, message, then the record's own fields."""
        line = {"time": self._timestamps.text(at), "level": level, "logger": logger, "message": message, **fields}
        if exception is not None:
            line["exception"] = exception
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:
            writable = {name: _as_writable(value) for name, value in line.items()}
            return orjson.dumps(writable, option=orjson.OPT_APPEND_NEWLINE)


class ConsoleFormatter(LineFormatter):
    """One line of text, its fields as `name=value`."""

    def line(
        self,
        at: float,
        level: str,
        logger: str,  # noqa: ARG002 - a person at a console knows it from the message
        message: str,
        fields: Mapping[str, Any],
        exception: str | None = None,
    ) -> bytes:
        """`12:00:00 info access method=GET …`."""
        pairs = " ".join(f"{name}={_text(value)}" for name, value in fields.items() if value not in (None, [], (), {}))
        line = f"{self._timestamps.text(at)[11:19]} {level:7} {_escaped(message)} {pairs}".rstrip()
        if exception is not None:
            # Indented, so that no line of an exception can be taken for a line of the log.
            line = "\n  ".join([line, *map(_escaped, exception.split("\n"))])
        return f"{line}\n".encode()


class LineHandler(DirectHandler):
    """Formats lines and queues them in a `LineWriter`."""

    def __init__(self, formatter: LineFormatter, fd: int = _STDOUT) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._lines = formatter
        self.writer = LineWriter(fd, self._notice)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line. Never blocks."""
        try:
            line = self._lines.encode(record)
        except Exception as error:  # noqa: BLE001 - `logging`'s own handling writes to standard error, which may block
            line = self._failure(error, file=record.filename, line=record.lineno)
        self.writer.write(line)

    def line(self, level: str, logger: str, event: str, fields: Mapping[str, Any]) -> None:
        """Queue a line with the current time. The caller has checked the level. Never blocks."""
        try:
            line = self._lines.line(time.time(), level, logger, event, fields)
        except Exception as error:  # noqa: BLE001 - a line that can't be formatted must not fail what it reports
            line = self._failure(error, event=event)
        self.writer.write(line)

    def _failure(self, error: Exception, **about: Any) -> bytes:
        """The line that replaces one that can't be formatted. It holds nothing of its contents."""
        fields = {"kind": type(error).__qualname__, **about}
        return self._lines.line(time.time(), "error", _LOGGER, "a record could not be written", fields)

    def _notice(self, number: int) -> bytes:
        return self._lines.line(time.time(), "warning", _LOGGER, "log lines dropped", {"lines": number})


def configure(level: LogLevel, format: LogFormat) -> None:
    """Set up the process's logging. Only the command line calls it."""
    handler = LineHandler(JsonFormatter() if format == "json" else ConsoleFormatter())
    _root.handlers[:] = [handler]
    _root.setLevel(logging.WARNING)
    set_level(level)
    # uvicorn's lines of lower levels repeat ours.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # By default warnings are written to standard error, which may block too.
    logging.captureWarnings(capture=True)
    sys.unraisablehook = _log_unraisable
    atexit.register(handler.writer.flush)


def set_level(level: LogLevel) -> None:
    """Log the gateway's lines from this level on."""
    logging.getLogger("bff").setLevel(level.upper())


def flush() -> None:
    """Wait at most a second until all lines are written. For a process that ends without Python's exit handlers."""
    for handler in _line_handlers():
        handler.writer.flush()


def dropped_lines() -> int:
    """The number of lines that this process has dropped."""
    return sum(handler.writer.dropped for handler in _line_handlers())


def _line_handlers() -> list[LineHandler]:
    return [handler for handler in _root.handlers if isinstance(handler, LineHandler)]


def _log_unraisable(fault: "sys.UnraisableHookArgs") -> None:
    """Log an error that a finalizer raised: its type and its frames."""
    trace: TracebackType | None = fault.exc_traceback
    _log.error("a finalizer failed", kind=fault.exc_type.__qualname__, frames=frames_of(trace))


def _as_writable(value: Any) -> Any:
    """The value, or its text if JSON can't hold it: an unpaired surrogate, a number beyond 64 bits, another key type."""
    try:
        orjson.dumps(value)
    except TypeError:
        return ascii(value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, dict):
        text = ",".join(f"{name}:{item}" for name, item in value.items())
    elif isinstance(value, list | tuple):
        text = ",".join(map(str, value))
    else:
        text = value if isinstance(value, str) else _as_json(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)


def _escaped(text: str) -> str:
    """The text with control characters escaped, since a console would execute them."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
