"""`python -m bff`, for where the script is not installed."""

from bff.cli import main

main()
