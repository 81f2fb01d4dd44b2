"""What every package here may use: event loop, background tasks, clock, bounded cache, copies and frames of errors."""
