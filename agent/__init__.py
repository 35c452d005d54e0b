"""The daemon on a VPS. Copied there whole; never imports Django."""

__version__ = "0.1.0"
