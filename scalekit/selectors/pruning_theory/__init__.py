"""When to keep the hard examples: the teacher-student perceptron. Resolved on first use."""

from __future__ import annotations

from scalekit.lazy import names_on_use

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
__getattr__ = names_on_use(__name__, _PUBLIC)
