"""Curves: laws, fits, intervals, predictions. Names are resolved on first use."""

from __future__ import annotations

from scalekit.lazy import names_on_use

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
__getattr__ = names_on_use(__name__, _PUBLIC)
