"""The version of scalekit, in one place: pyproject and every saved result read it here."""

__version__ = "0.1.0"
