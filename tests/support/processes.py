"""The command `bff` as a separate process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.gateways import SETTINGS

_PATIENCE_S = 60
_NOT_OURS = ("BFF_", "JWT_", "USERS_", "ORDERS_", "PRODUCTS_", "HOST", "PORT", "LOG_")


@dataclass(slots=True)
class Command:
    """A running command. Its output goes to a file, so that it never blocks on a full pipe."""

    process: subprocess.Popen[bytes]
    output_file: Path

    def output(self) -> str:
        """Its output up to now."""
        return self.output_file.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> str:
        """Wait until its output contains `text`. Returns the output."""
        until = time.monotonic() + _PATIENCE_S
        while text not in (output := self.output()):
            assert self.process.poll() is None, output
            assert time.monotonic() < until, output
            time.sleep(0.02)
        return output

    def wait_until_ready(self, url: str) -> None:
        """Wait until `/ready` of `url` returns 200."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            assert self.process.poll() is None, self.output()
            try:
                if httpx.get(f"{url}/ready", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.output())

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_PATIENCE_S)


@contextmanager
def bff(
    tmp_path: Path, *arguments: str, environment: Mapping[str, str] | None = None, stdout: int | None = None
) -> Iterator[Command]:
    """Run `python -m bff ARGUMENTS` in an empty folder, without this process's settings.

    `stdout` gets its output in place of the file. The command leads a new session, whose processes are all killed at the
    end, including workers that outlive their supervisor.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
    root = str(Path(__file__).parents[2])
    output_file = tmp_path / f"output-{time.monotonic_ns()}.txt"
    with output_file.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bff", *arguments],
            stdout=output if stdout is None else stdout,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": root, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
        )
        try:
            yield Command(process, output_file)
        finally:
            with suppress(ProcessLookupError):  # the process group has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def set_of(services: Mapping[str, str], **more: str) -> dict[str, str]:
    """Environment variables for a gateway in front of these services."""
    return {**SETTINGS, **{f"{name.upper()}_SERVICE_URL": url for name, url in services.items()}, **more}
