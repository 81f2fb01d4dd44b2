"""An event loop in a thread of its own, so that servers outlive the tests that talk to them over real sockets."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE_S = 30


class Background:
    """Enters asynchronous context managers and leaves them, in reverse, when it is closed."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it there and wait for it here."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_PATIENCE_S)

    def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter it there; it is left when this is closed."""
        return self.run(self._stack.enter_async_context(manager))

    def close(self) -> None:
        """Leave all that was entered, and end the loop."""
        self.run(self._stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_PATIENCE_S)
        self.loop.close()
