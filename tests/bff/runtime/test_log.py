"""`bff.runtime.log`: events with fields, with or without log records."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from bff.runtime.log import DirectHandler, Log, direct_handler

_NAME = "bff.test_log"


class Lines(DirectHandler):
    """Keeps the lines that come without a record, and the records."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str, str, dict[str, Any]]] = []
        self.records: list[logging.LogRecord] = []

    def line(self, level: str, logger: str, event: str, fields: dict[str, Any]) -> None:
        self.lines.append((level, logger, event, fields))

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Leaves the process's logging as it was."""
    root, logger = logging.getLogger(), logging.getLogger(_NAME)
    before, level = root.handlers[:], logger.level
    yield
    root.handlers[:] = before
    logger.setLevel(level)


def only_handler() -> Lines:
    """A direct handler as the process's only one, and the logger's level at `info`. pytest has handlers until then."""
    handler = Lines()
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger(_NAME).setLevel(logging.INFO)
    return handler


@pytest.mark.usefixtures("own_logging")
def test_a_direct_handler_gets_the_parts_of_a_line() -> None:
    """Level, logger, event and fields in their order, and no log record is made."""
    lines = only_handler()
    log = Log(_NAME)
    log.info("request", b=1, a=None)
    log.warning("breaker changed")
    log.error("internal error", kind="ValueError")
    assert lines.lines == [
        ("info", _NAME, "request", {"b": 1, "a": None}),
        ("warning", _NAME, "breaker changed", {}),
        ("error", _NAME, "internal error", {"kind": "ValueError"}),
    ]
    assert list(lines.lines[0][3]) == ["b", "a"]
    assert lines.records == []


@pytest.mark.usefixtures("own_logging")
def test_a_level_below_the_logger_s_is_not_logged() -> None:
    """`is_info_enabled` says so beforehand."""
    lines = only_handler()
    log = Log(_NAME)
    log.debug("no plan")
    assert log.is_info_enabled
    logging.getLogger(_NAME).setLevel(logging.WARNING)
    log.info("request")
    assert (log.is_info_enabled, lines.lines) == (False, [])
    logging.getLogger(_NAME).setLevel(logging.DEBUG)
    log.debug("no plan")
    assert [line[0] for line in lines.lines] == ["debug"]


def test_other_handlers_get_a_record(caplog: pytest.LogCaptureFixture) -> None:
    """The record has the fields, and names the place that logged and not the module `log`."""
    with caplog.at_level(logging.DEBUG, _NAME):
        log = Log(_NAME)
        for write in (log.debug, log.info, log.warning, log.error):
            write("event", name="n", level=1)
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO", "WARNING", "ERROR"]
    assert {record.filename for record in caplog.records} == {"test_log.py"}
    assert [vars(record)["fields"] for record in caplog.records] == [{"name": "n", "level": 1}] * 4


@pytest.mark.usefixtures("own_logging")
def test_an_exception_is_logged_with_its_traceback() -> None:
    """A traceback needs a record."""
    lines = only_handler()
    try:
        int("inner")
    except ValueError:
        Log(_NAME).exception("a listener failed", name="n")
    (record,) = lines.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError
    assert (record.getMessage(), record.filename, vars(record)["fields"]) == (
        "a listener failed",
        "test_log.py",
        {"name": "n"},
    )


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("place", [_NAME, "bff", ""])
def test_a_further_handler_or_filter_is_not_passed_by(place: str) -> None:
    """With one anywhere between the logger and the root, records are made."""
    lines = only_handler()
    logger = logging.getLogger(_NAME)
    assert direct_handler(logger) is lines
    other = logging.NullHandler()
    logging.getLogger(place).addHandler(other)
    assert direct_handler(logger) is None
    logging.getLogger(place).removeHandler(other)
    lines.addFilter(lambda _: True)
    assert direct_handler(logger) is None
    lines.filters.clear()
    assert direct_handler(logger) is lines
