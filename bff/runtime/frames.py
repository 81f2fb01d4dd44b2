"""The frames of a traceback as text for the log, without values and without source lines."""

import traceback
from types import TracebackType

_MOST_FRAMES = 12


def frames_of(trace: TracebackType | None) -> list[str]:
    """The innermost twelve frames of a traceback, the outermost first, each as `file:line function`."""
    # Not `traceback.extract_tb`: it reads the source files, which may block.
    frames = [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in traceback.walk_tb(trace)]
    return frames[-_MOST_FRAMES:]
