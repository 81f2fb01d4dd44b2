"""Metrics, logs, and listeners of the sources' events. None of them delays or fails a request."""
