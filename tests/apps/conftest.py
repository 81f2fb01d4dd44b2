"""Applications with tests of their own: those run where the application is, as its team would run them."""

collect_ignore = ["library"]
