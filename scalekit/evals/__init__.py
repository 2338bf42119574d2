"""Benchmarks: which differences are real, which metric can be trusted, what would settle it."""

from scalekit.evals.reading import read_evals

__all__ = ["read_evals"]
