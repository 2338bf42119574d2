"""A fit as plain values and arrays, for `to_dict` and `save`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalekit.fitters.law import Law
from scalekit.fitters.model import Parameter
from scalekit.fitters.objectives import Objective
from scalekit.notes import Note
from scalekit.results import Provenance

if TYPE_CHECKING:
    from scalekit.fitters.fitted import Fit


def payload_of(fit: Fit) -> dict[str, Any]:
    """Return the law, the parameters with their intervals, and how they were found."""
    table = fit.to_frame().set_index("parameter")[["estimate", "ci_lower", "ci_upper"]]
    return {
        "law": fit.law.name,
        "formula": fit.law.formula,
        "source": fit.law.source,
        "scales": list(fit.law.scales),
        "parameters": [vars(parameter) for parameter in fit.law.parameters],
        "between": fit.law.between,
        "params": table.to_dict("index"),
        "objective": {**vars(fit.objective), "value": fit.objective_value},
        "confidence_level": fit.confidence_level,
        "interval_method": fit.interval_method,
        "noise": fit.noise,
        "n_rows": len(fit.loss),
        "rows_left_out": dict(fit.provenance.rows_left_out),
        "search": vars(fit.search),
        "sensitivity": fit.sensitivity.to_dict("records"),
        "predictions": [] if fit.asked is None else fit.asked.to_dict("records"),
    }


def arrays_of(fit: Fit) -> dict[str, np.ndarray]:
    """Return draws and data."""
    return {
        "theta": fit.theta,
        "draws": fit.draws,
        "loss": fit.loss,
        "weights": fit.weights,
        "clusters": fit.clusters,
        **{f"scale_{name}": scale for name, scale in fit.scales.items()},
    }


def fields_of(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the fields of the fit that `payload_of` and `arrays_of` wrote, without its search."""
    parameters = [
        Parameter(**{**entry, "start": tuple(entry["start"])} | _unbounded(entry))
        for entry in values["parameters"]
    ]
    between = values["between"]
    law = Law(
        values["law"],
        values["formula"],
        values["source"],
        scales=tuple(values["scales"]),
        parameters=tuple(parameters),
        between=tuple(between) if between else None,
    )
    objective = {k: v for k, v in values["objective"].items() if k != "value"}
    return {
        "law": law,
        "theta": arrays["theta"],
        "objective": Objective(**objective),
        "objective_value": values["objective"]["value"],
        "scales": {name: arrays[f"scale_{name}"] for name in law.scales},
        "loss": arrays["loss"],
        "weights": arrays["weights"],
        "clusters": arrays["clusters"],
        "draws": arrays["draws"],
        "interval_method": values["interval_method"],
        "confidence_level": values["confidence_level"],
        "sensitivity": pd.DataFrame(values["sensitivity"]),
        "notes": tuple(Note(**note) for note in values["notes"]),
        "provenance": Provenance.from_dict(values["provenance"]),
        "asked": pd.DataFrame(values["predictions"]) if values["predictions"] else None,
    }


def _unbounded(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the bounds of a saved parameter; JSON has null for an infinite one."""
    lower = -np.inf if entry["lower"] is None else entry["lower"]
    return {"lower": lower, "upper": np.inf if entry["upper"] is None else entry["upper"]}
