"""What every room may use: the event loop, background tasks, a bounded cache."""
