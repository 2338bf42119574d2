"""Reading saved results back: `scalekit.load("fit.json")`."""

from __future__ import annotations

import importlib
from pathlib import Path

from scalekit.errors import OutputError, did_you_mean
from scalekit.results import Result, read_saved

# kind of result -> where its class lives; a new kind is one line here
KINDS = {
    "fit": ("scalekit.fitters.fitted", "Fit"),
    "prediction": ("scalekit.fitters.prediction", "Prediction"),
    "profile": ("scalekit.fitters.profiles", "Profile"),
    "runs": ("scalekit.tables", "RunTable"),
    "scores": ("scalekit.selectors.scores.table", "ScoreTable"),
}


def load(path: str | Path) -> Result:
    """Return the result that `result.save(path)` wrote to a .json file.

    Raises OutputError where the file is missing, damaged or of an unknown kind.
    """
    values, arrays = read_saved(path)
    kind = values["kind"]
    if kind not in KINDS:
        raise OutputError(f"{path} holds a result of kind '{kind}'. {did_you_mean(kind, KINDS)}")
    module, name = KINDS[kind]
    result: Result = getattr(importlib.import_module(module), name).restore(values, arrays)
    return result
