"""The policies around a call, one a file. `stack.py` holds their order, with the reason for it."""
