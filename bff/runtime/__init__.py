"""What every package may use: the event loop, background tasks, bounded caches, copies of errors, options."""
