"""When to keep the hard examples: the teacher-student perceptron. Resolved on first use."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Perceptron": "perceptron_result",
    "crossover": "strategies",
    "information_gain": "information",
    "perceptron": "perceptron_result",
    "plot_theory": "theory_plots",
    "simulate": "simulation",
    "theory_map": "strategies",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(
            f"module 'scalekit.selectors.pruning_theory' has no attribute '{name}'"
        )
    return getattr(
        importlib.import_module(f"scalekit.selectors.pruning_theory.{_PUBLIC[name]}"), name
    )
