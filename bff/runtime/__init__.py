"""What every room may use: event loop, background tasks, clock, log, bounded cache, memo, options, copies of errors."""
