"""Attacks, outages and restarts, one file a subject, over real sockets. Each test has found a fault."""
