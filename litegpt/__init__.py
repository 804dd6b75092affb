"""liteGPT: a terminal experiment console for studies of small GPTs."""

__version__ = "0.1.0"
