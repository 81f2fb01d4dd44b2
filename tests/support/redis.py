"""A real Redis."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.programs import needs


@dataclass(slots=True)
class RunningRedis:
    """A Redis for one test."""

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

    def cli(self, *command: str) -> list[str]:
        """The lines of the reply to a command."""
        result = subprocess.run(["redis-cli", "-p", str(self.port), *command], capture_output=True, check=True, text=True)
        return result.stdout.splitlines()


@dataclass(slots=True)
class SlowPort:
    """A TCP port in front of a Redis. `delay_s` delays each reply; `asked` counts the requests."""

    port: int = 0
    delay_s: float = 0.0
    asked: int = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@asynccontextmanager
async def slow_port(redis: RunningRedis) -> AsyncIterator[SlowPort]:
    """A port in front of that Redis."""
    slow = SlowPort()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", redis.port)

        async def answers() -> None:
            while chunk := await from_redis.read(65536):
                await asyncio.sleep(slow.delay_s)
                writer.write(chunk)

        answering = asyncio.create_task(answers())
        try:
            while chunk := await reader.read(65536):
                slow.asked += 1
                to_redis.write(chunk)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            to_redis.close()
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    slow.port = server.sockets[0].getsockname()[1]
    try:
        yield slow
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
