"""Log lines: one for each record, and no value can break a line."""

import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.observe.logs import ConsoleFormatter, JsonFormatter, configure, flush
from bff.runtime.log import Log


def record(message: str = "request", *args: Any, **fields: Any) -> logging.LogRecord:
    """A record with those fields and a known time."""
    made = logging.LogRecord("bff.access", logging.INFO, "x.py", 1, message, args, None)
    made.created = 1767225600.25
    made.fields = fields
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    """The line: exactly one, in UTF-8, and valid JSON."""
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "\r" not in line
    line.encode()

    def strictly(constant: str) -> Any:
        pytest.fail(f"{constant} is no JSON")

    decoded: dict[str, Any] = json.loads(line, parse_constant=strictly)
    return decoded


def as_text(made: logging.LogRecord) -> str:
    """The line: exactly one, and printable."""
    line = ConsoleFormatter().format(made)
    assert line.isprintable()
    line.encode()
    return line


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Leaves the process's logging as it was."""
    root, ours = logging.getLogger(), logging.getLogger("bff")
    before = root.handlers[:], root.level, ours.level, logging.getLogger("uvicorn").level
    hook = sys.unraisablehook
    yield
    logging.captureWarnings(capture=False)
    sys.unraisablehook = hook
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    logging.getLogger("uvicorn").setLevel(before[3])


def test_a_json_line_has_time_level_logger_message_and_fields() -> None:
    """In that order, the time in UTC."""
    assert list(as_json(record(status=200, ms=1.5, errors=[], calls={"users": 1})).items()) == [
        ("time", "2026-01-01T00:00:00.250Z"),
        ("level", "info"),
        ("logger", "bff.access"),
        ("message", "request"),
        ("status", 200),
        ("ms", 1.5),
        ("errors", []),
        ("calls", {"users": 1}),
    ]


def test_a_message_is_formatted_with_its_arguments() -> None:
    """As logging does it. A record without fields is a line too."""
    plain = logging.LogRecord("uvicorn", logging.WARNING, "x.py", 1, "%s of %d", ("one", 2), None)
    assert as_json(plain)["message"] == "one of 2"
    assert as_text(plain).endswith("warning one of 2")


NASTY = [
    "a\nb",
    "\r\n{}",
    '"quoted"',
    "\x1b[31mred",
    "\x9b31mred",
    "\x00\x07\x7f",
    "\u2028\u2029\x85",
    "\u202eabc",
    "\ud800",
    "é😀",
    2**70,
    -(2**70),
    float("nan"),
    float("inf"),
    b"bytes\n\xff",
    {1: "a", None: "b"},
    {"a\nb": "c\x1b"},
    ["a\nb", "\x1b[31m", "\ud800"],
    ("\n",),
    {"set\n"},
    Path("/a\nb"),
    ValueError("a\nb"),
    object(),
    {"deep": [{"deeper": "\ud800", 5: b"\xff"}]},
    None,
    True,
]


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_a_json_line_is_valid_with_any_values(value: Any) -> None:
    """A value that JSON can't hold must not lose the line with its other fields."""
    line = as_json(record(before=1, value=value, after=2))
    assert (line["before"], line["after"], line["message"]) == (1, 2, "request")
    assert "value" in line


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_a_console_line_cannot_be_broken_by_its_values(value: Any) -> None:
    """Control characters are escaped: none moves the cursor, changes a colour or begins a line."""
    line = as_text(record(before=1, value=value, after=2))
    assert line.startswith("00:00:00 info    request before=1 ")
    assert line.endswith(" after=2")


@given(st.text(), st.dictionaries(st.text(), st.text() | st.binary(), max_size=3))
def test_no_text_breaks_a_line(text: str, mapping: dict[str, Any]) -> None:
    """In either format."""
    made = record(text=text, mapping=mapping, listed=[text])
    as_json(made)
    as_text(made)


def test_a_valid_json_value_is_unchanged() -> None:
    """Also beside a value that JSON can't hold."""
    line = as_json(record(bad="\ud800", good="é\n", number=1))
    assert (line["good"], line["number"]) == ("é\n", 1)
    assert line["bad"] == "'\\ud800'"


def failed(message: str) -> logging.LogRecord:
    """A record of an exception with that message."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its message is anything at all
        raise ValueError(message)
    return logging.LogRecord("bff", logging.ERROR, "x.py", 1, "failed", (), (caught.type, caught.value, caught.tb))


@pytest.mark.parametrize("message", ["a", "a\nb\ud800", "\x1b[31m"])
def test_a_json_line_has_the_whole_exception(message: str) -> None:
    """On the same line."""
    assert "ValueError" in as_json(failed(message))["exception"]


@pytest.mark.parametrize("message", ["a", "a\n12:00:00 info    forged", "\x1b[31m\ud800", "\r\x85\u2028"])
def test_a_console_line_has_the_exception_below_it(message: str) -> None:
    """Indented and escaped, so that its text can't look like a line of the log."""
    text = ConsoleFormatter().format(failed(message))
    first, *rest = text.split("\n")
    assert first.endswith("error   failed")
    assert rest[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


@pytest.mark.parametrize("message", ["a\nb", "\x1b[31m", "\ud800"])
def test_a_message_cannot_break_a_line_either(message: str) -> None:
    """Messages of libraries may hold what a client sent."""
    as_text(record(message))
    as_json(record(message))


def test_a_console_line_is_short() -> None:
    """Empty values are left out, lists and counts are separated by commas, and text with spaces is quoted."""
    made = record(
        status=200, ms=1.5, ok=True, none=None, errors=[], calls={"users": 1, "orders": 2}, codes=["A", "B"], name="a b"
    )
    expected = 'status=200 ms=1.5 ok=true calls=users:1,orders:2 codes=A,B name="a b"'
    assert as_text(made) == f"00:00:00 info    request {expected}"


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize(("format_", "expected"), [("json", '"message":"ours"'), ("console", "info    ours a=1")])
def test_lines_go_to_standard_output(capfd: pytest.CaptureFixture[str], format_: Any, expected: str) -> None:
    """Ours from the configured level on, those of libraries from warnings on. uvicorn's access lines would repeat ours."""
    configure("info", format_)
    logging.getLogger("bff.access").info("ours", extra={"fields": {"a": 1}})
    logging.getLogger("bff.access").debug("too low")
    logging.getLogger("other").info("not ours")
    logging.getLogger("uvicorn.access").info("not ours either")
    logging.getLogger("uvicorn.error").warning("theirs")
    flush()
    out, err = capfd.readouterr()
    assert err == ""
    assert [expected in out, "theirs" in out, "too low" in out, "not ours" in out] == [True, True, False, False]
    assert len(out.splitlines()) == 2


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize(("level", "shown"), [("debug", 5), ("info", 4), ("warning", 3), ("error", 2), ("critical", 1)])
def test_the_configured_level_is_used(capfd: pytest.CaptureFixture[str], level: Any, shown: int) -> None:
    """Each of the five."""
    configure(level, "json")
    for number in (10, 20, 30, 40, 50):
        logging.getLogger("bff").log(number, "x")
    flush()
    assert len(capfd.readouterr().out.splitlines()) == shown


@pytest.mark.usefixtures("own_logging")
def test_a_record_that_cannot_be_formatted_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """With its place and the type of the error, without its contents, and not on standard error."""
    configure("info", "json")
    logging.getLogger("bff").warning("%d", "secret")
    flush()
    out, err = capfd.readouterr()
    assert err == ""
    assert '"message":"a record could not be written","kind":"TypeError","file":"test_logs.py"' in out
    assert "secret" not in out


@pytest.mark.usefixtures("own_logging")
def test_a_line_without_a_record_is_the_same_line(capfd: pytest.CaptureFixture[str]) -> None:
    """It differs from the line of a record in nothing but the time."""
    configure("info", "json")
    Log("bff.access").info("request", a=1)
    logging.getLogger("bff.access").info("request", extra={"fields": {"a": 1}})
    flush()
    first, second = (line.partition(",")[2] for line in capfd.readouterr().out.splitlines())
    assert first == second == '"level":"info","logger":"bff.access","message":"request","a":1}'


@pytest.mark.usefixtures("own_logging")
def test_a_line_that_cannot_be_formatted_is_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    """Also without a log record: the caller gets no error, and the line that is written has none of its values."""

    class Unreadable:
        def __str__(self) -> str:
            raise RuntimeError("secret")

    configure("info", "console")
    Log("bff.access").info("request", a=Unreadable())
    flush()
    out, err = capfd.readouterr()
    assert err == ""
    assert "a record could not be written kind=RuntimeError event=request" in out
    assert "secret" not in out


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1767225600.0, "2026-01-01T00:00:00.000Z"),
        (1767225600.2509, "2026-01-01T00:00:00.250Z"),
        (1767225600.9999999, "2026-01-01T00:00:01.000Z"),
        (1767225599.999, "2025-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_in_utc_with_milliseconds(seconds: float, expected: str) -> None:
    """The text of a second is cached, and the next second has its own."""
    formatter = JsonFormatter()
    for _ in range(2):
        assert orjson.loads(formatter.line(seconds, "info", "l", "m", {}))["time"] == expected
        formatter.line(0.0, "info", "l", "m", {})


@given(st.floats(0, 4e9))
def test_times_are_formatted_as_by_the_standard_library(seconds: float) -> None:
    """Rounded to microseconds, then cut to milliseconds."""
    expected = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert orjson.loads(JsonFormatter().line(seconds, "info", "l", "m", {}))["time"] == expected
