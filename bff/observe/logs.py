"""Log lines: one JSON object each, or plain text for a person at a console. To standard output, as containers expect.

A record's members stand in `extra={"fields": {…}}`; nothing else of a request gets into a line.
"""

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
        return orjson.dumps(line, default=str).decode()


class ConsoleFormatter(logging.Formatter):
    """One line of text, its fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """`12:00:00 info access method=GET …`."""
        fields = " ".join(
            f"{name}={_text(value)}" for name, value in getattr(record, "fields", {}).items() if value not in (None, [], {})
        )
        line = f"{_moment(record)[11:19]} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()
        if record.exc_info and record.exc_info[0]:
            line += "\n" + self.formatException(record.exc_info)
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


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{item}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    # A console shows control characters as what they do; here they are shown as what they are.
    return value if isinstance(value, str) and value.isprintable() and " " not in value else orjson.dumps(value).decode()
