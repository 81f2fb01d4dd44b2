"""One HTTP request: its steps in order, its state, HTTP itself."""
