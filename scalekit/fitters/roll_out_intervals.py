"""The intervals that roll-outs give one fit: `fit.predict(..., interval="observation")`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scalekit.errors import InputError
from scalekit.fitters.choice import choose_law
from scalekit.fitters.prediction import Prediction

if TYPE_CHECKING:
    from scalekit.fitters.fitted import Fit


def with_roll_out_intervals(fit: Fit, prediction: Prediction) -> Prediction:
    """Return `prediction` with the intervals that roll-outs of the fit's law on its runs give."""
    names = list(fit.law.scales)
    runs = pd.DataFrame({**fit.scales, "loss": fit.loss, "weight": fit.weights})
    along = (
        names[0]
        if len(names) == 1
        else "flops"
        if {"params", "tokens"} <= set(names)
        else names[-1]
    )
    try:
        judged = choose_law(runs, [fit.law], along=along, trimmings=(0.0,), weights="weight",
                            confidence_level=fit.confidence_level)  # fmt: skip
    except InputError as error:
        raise InputError(
            "interval='observation' takes its width from roll-outs of the fit's own law. "
            f"{error} It is what you get without interval= (obs_lower, obs_upper: a new run)."
        ) from None
    found = judged.predict(prediction.table[names], confidence_level=prediction.confidence_level)
    table, columns = prediction.table.copy(), ["ci_lower", "ci_upper", "obs_lower", "obs_upper"]
    # widths are relative: they are laid about the fit's own centre
    ratio = table["predicted"] / found.table["predicted"]
    for name in columns:
        table[name] = found.table[name] * ratio
    notes = (*found.notes, *(note for note in judged.notes if note.code == "few_roll_outs"))
    return Prediction(
        table,
        prediction.law,
        prediction.confidence_level,
        found.method,
        notes,
        prediction.provenance,
    )
