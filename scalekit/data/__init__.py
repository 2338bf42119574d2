"""How logs come in: tables of runs from files and frames."""

from scalekit.data.readers import example_runs, read_runs

__all__ = ["example_runs", "read_runs"]
