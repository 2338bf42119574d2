"""Curves: laws, fits, intervals, predictions. Names are resolved on first use."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Fit": "fitted",
    "Law": "law",
    "Objective": "objectives",
    "Parameter": "model",
    "as_law": "laws",
    "Choice": "choice",
    "ManyFits": "many",
    "RollOut": "heldout",
    "choose_law": "choice",
    "fit": "fitting",
    "fit_many": "many",
    "roll_out": "heldout",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'scalekit.fitters' has no attribute '{name}'")
    module = importlib.import_module(f"scalekit.fitters.{_PUBLIC[name]}")
    return getattr(module, name)
