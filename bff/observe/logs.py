"""Log lines: one JSON object each, or plain text for a person at a console. To standard output, as containers expect.

A record's members stand in `extra={"fields": {…}}`; nothing else of a request gets into a line.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, then the record's own fields."""
        line: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:
            return orjson.dumps({name: _writable(value) for name, value in line.items()}).decode()


class ConsoleFormatter(logging.Formatter):
    """One line of text, its fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """`12:00:00 info access method=GET …`."""
        fields = " ".join(
            f"{name}={_text(value)}" for name, value in getattr(record, "fields", {}).items() if value not in (None, [], {})
        )
        line = f"{_moment(record)[11:19]} {record.levelname.lower():7} {_shown(record.getMessage())} {fields}".rstrip()
        if record.exc_info and record.exc_info[0]:
            trace = self.formatException(record.exc_info).split("\n")
            # Set in, so that no line of an exception can be taken for one of the log's own.
            line = "\n  ".join([line, *map(_shown, trace)])
        return line


def configure(level: LogLevel, format: LogFormat) -> None:
    """Set up the process's logging; only the command line calls it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if format == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bff").setLevel(level.upper())
    # uvicorn's own lines say what ours say; its warnings stay.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _writable(value: Any) -> Any:
    """The value, or its text where JSON can't say it: half a character, a number beyond 64 bits, a key that is no string."""
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
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if text.isprintable() and " " not in text else json.dumps(text)


def _shown(text: str) -> str:
    """A console shows control characters as what they do; here they are shown as what they are."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
