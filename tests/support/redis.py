"""A real Redis."""

import subprocess
import time
from dataclasses import dataclass

from tests.support.programs import needs


@dataclass(slots=True)
class RunningRedis:
    """A Redis of one test."""

    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        needs("redis-server", "redis-cli")
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--save", "", "--bind", "127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2000):
            if (
                subprocess.run(["redis-cli", "-p", str(self.port), "ping"], capture_output=True, check=False).stdout
                == b"PONG\n"
            ):
                return
            time.sleep(0.01)
        raise AssertionError("it does not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
