"""Applications with tests of their own: those run where the application is, as its team would run them."""

from tests.support.installed import installed  # noqa: F401 - a fixture

collect_ignore = ["library", "elsewhere/api.py", "elsewhere/authors.py", "elsewhere/books.py", "elsewhere/reviews.py"]
