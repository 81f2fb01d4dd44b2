"""Frames of a traceback as text."""

from bff.runtime.frames import frames_of


def fail(depth: int) -> None:
    """Raise an error that many calls further in."""
    if depth:
        fail(depth - 1)
    raise KeyError("a password")


def traced(depth: int) -> list[str]:
    """The frames of an error that was raised in that depth."""
    try:
        fail(depth)
    except KeyError as error:
        return frames_of(error.__traceback__)
    raise AssertionError("it raises")


def test_frames_have_file_line_and_function() -> None:
    """From the outermost to the innermost; nothing of the message."""
    frames = traced(0)
    assert [frame.rpartition(" ")[2] for frame in frames] == ["traced", "fail"]
    assert all(frame.startswith(f"{__file__}:") for frame in frames)
    assert "password" not in "".join(frames)


def test_only_the_innermost_twelve_are_kept() -> None:
    """An error deep in a recursion must not make a log line of any length."""
    assert [frame.rpartition(" ")[2] for frame in traced(30)] == ["fail"] * 12


def test_no_traceback_has_no_frames() -> None:
    """An error that was never raised has none."""
    assert frames_of(None) == []
