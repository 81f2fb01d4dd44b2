"""An event loop in a separate thread, so that servers can run longer than one test."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE_S = 30


class Background:
    """Enters asynchronous context managers, and exits them in reverse order when it is closed."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine in that thread and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_PATIENCE_S)

    def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter the context manager in that thread. It is exited when this is closed."""
        return self.run(self._stack.enter_async_context(manager))

    def close(self) -> None:
        """Exit all context managers, and stop the loop."""
        self.run(self._stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_PATIENCE_S)
        self.loop.close()
