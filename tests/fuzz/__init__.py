"""Fuzzers: each can be run for as long as one likes, and runs for a moment among the tests."""
