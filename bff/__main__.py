"""`python -m bff`, for where the script is not installed."""

from bff.commands.main import main

main()
