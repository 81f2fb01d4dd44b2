"""The `bff` command as a process of its own, as people start it."""

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
    """A running command. What it prints goes to a file, so that it is never held up by a full pipe."""

    process: subprocess.Popen[bytes]
    output_file: Path

    def output(self) -> str:
        """All that it has printed so far."""
        return self.output_file.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> str:
        """Wait until it has printed `text`, and return all that it has printed."""
        until = time.monotonic() + _PATIENCE_S
        while text not in (output := self.output()):
            assert self.process.poll() is None, output
            assert time.monotonic() < until, output
            time.sleep(0.02)
        return output

    def wait_until_ready(self, url: str) -> None:
        """Wait until `url` says on `/ready` that it is."""
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
    """`python -m bff ARGUMENTS` in an empty folder, with none of the settings that this process may have.

    `stdout` takes what it prints in place of the file. The command leads a session of its own, all of which is killed at the
    end: also workers that outlived their supervisor.
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
            with suppress(ProcessLookupError):  # nobody is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def set_of(services: Mapping[str, str], **more: str) -> dict[str, str]:
    """The environment of a gateway in front of those services."""
    return {**SETTINGS, **{f"{name.upper()}_SERVICE_URL": url for name, url in services.items()}, **more}
