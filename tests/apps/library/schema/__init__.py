"""The library's graph: what its clients see."""
