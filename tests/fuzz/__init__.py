"""Fuzzers: run as modules for as long as one likes; a short run of each is a test."""
