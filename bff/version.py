"""The package's version, in a module that imports nothing: the public face imports every room."""

__version__ = "0.1.0"
