"""Log lines as events with named fields: `_log.info("key set fetched", issuer=name, keys=3)`.

It uses the loggers of `logging`, so handlers, filters and levels work as usual: a record carries its fields in the attribute
`fields`. If a `DirectHandler` is the only handler, it gets the line without a log record, which costs more than the rest.
"""

import logging
from typing import Any

_root = logging.getLogger()


class DirectHandler(logging.Handler):
    """A handler that also takes the parts of a line without a log record."""

    def line(self, level: str, logger: str, event: str, fields: dict[str, Any]) -> None:
        """Log a line with the current time. `level` is in lower case. The caller has checked the level. Never raises."""
        raise NotImplementedError


class Log:
    """Logs events of one part of the gateway, under a logger's name."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def __repr__(self) -> str:
        return f"<Log {self._logger.name}>"

    @property
    def is_info_enabled(self) -> bool:
        """Whether `info` logs anything: for callers that would otherwise compute fields in vain."""
        return self._logger.isEnabledFor(logging.INFO)

    def debug(self, event: str, /, **fields: Any) -> None:
        """Log an event that only helps to find a fault."""
        if self._logger.isEnabledFor(logging.DEBUG):
            _write(self._logger, logging.DEBUG, "debug", event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        """Log an event of normal operation."""
        if self._logger.isEnabledFor(logging.INFO):
            _write(self._logger, logging.INFO, "info", event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """Log an event that an operator should look at."""
        if self._logger.isEnabledFor(logging.WARNING):
            _write(self._logger, logging.WARNING, "warning", event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        """Log a failure."""
        if self._logger.isEnabledFor(logging.ERROR):
            _write(self._logger, logging.ERROR, "error", event, fields)

    def exception(self, event: str, /, **fields: Any) -> None:
        """Log a failure with the traceback of the exception that is being handled."""
        self._logger.exception(event, extra={"fields": fields}, stacklevel=2)  # noqa: LOG004 - called from a handler


def direct_handler(logger: logging.Logger) -> DirectHandler | None:
    """The `DirectHandler` that all lines of `logger` go to, alone and unfiltered; otherwise None."""
    handlers = _root.handlers
    if len(handlers) != 1 or not isinstance(handler := handlers[0], DirectHandler) or handler.filters:
        return None
    each: logging.Logger | None = logger
    while each is not None and each is not _root:
        if each.handlers or each.filters or not each.propagate:
            return None
        each = each.parent
    return handler


def _write(logger: logging.Logger, level: int, level_name: str, event: str, fields: dict[str, Any]) -> None:
    handler = direct_handler(logger)
    if handler is None:
        # `stacklevel`: the record names the caller of `Log`, not this module.
        logger.log(level, event, extra={"fields": fields}, stacklevel=3)
    else:
        handler.line(level_name, logger.name, event, fields)
