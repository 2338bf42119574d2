"""What a user hands over to choose a side: a learning curve, and trials on a smaller pool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.selectors.pruning.opening import take_columns
from scalekit.selectors.pruning.rules import SIDES

FEWEST_SIZES = 3
ERRORS = ("error", "err", "test_error", "error_rate", "loss")
CURVE = {"n": ("n", "samples", "size", "n_train", "n_samples", "train_size"), "error": ERRORS}
TRIALS = {"side": ("side", "rule"), "keep": ("keep", "fraction", "share"), "error": ERRORS}


def read_curve(source: Any, chance: float) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """Return a learning curve (n, error) whose errors lie below `chance`, that of guessing.

    A loss is taken for an error with a warning: theory speaks of shares of wrong answers. Other
    names of the two columns are understood (`CURVE`). Raises InputError that names the file, or
    the column to rename.
    """
    curve, name, called = take_columns(source, CURVE, "learning_curve", ("n", "error"))
    means = curve.groupby("n")["error"].mean()
    if len(means) < FEWEST_SIZES:
        raise InputError(
            f"{name} has {len(means)} size(s); three are needed to see whether its shape is that "
            "of the theory. Train on random subsets of three sizes."
        )
    if means.index[0] <= 0:
        raise InputError(f"{name}: n={means.index[0]:g}; sizes are numbers of examples, above 0.")
    outside = means[~((means > 0) & (means < chance))]
    if len(outside):
        raise InputError(
            f"{name}: the error {outside.iloc[0]:.4g} at n={outside.index[0]:g} is not between 0 "
            f"and that of guessing ({chance:.4g}). Errors are shares of wrong answers; chance= "
            "(--chance) is the error, not the accuracy, of guessing: 0.9 for ten even classes."
        )
    if called["error"] != "loss":
        return curve, ()
    taken = (
        f"{name}: 'loss' is read as the share of wrong answers, which theory speaks of. If it is a "
        "cross-entropy, give the error instead: the side may come out wrong."
    )
    return curve, (Note("loss_as_error", "warning", taken),)


def read_trials(source: Any) -> tuple[pd.DataFrame, str]:
    """Return trials (side, keep, error) and what to call them in messages."""
    trials, name, _ = take_columns(source, TRIALS, "trials", ("keep", "error"))
    strange = [str(side) for side in trials["side"] if side not in SIDES]
    if strange:
        raise InputError(
            f"{name}: there is no side '{strange[0]}'. {did_you_mean(strange[0], SIDES)}"
        )
    outside = trials.loc[~trials["keep"].between(0, 1, inclusive="neither"), "keep"]
    if len(outside) or not len(trials):
        raise InputError(
            f"{name}: "
            + (f"row {outside.index[0]} keeps {outside.iloc[0]:g}" if len(outside) else "no rows")
            + "; keep is the share that stayed, between 0 and 1."
        )
    return trials, name


def trial_leads(source: Any, keep: float) -> tuple[dict[str, tuple[float, float]], float]:
    """Return each tried side's mean log error over random's, with its error, and the share tried.

    Of the tried shares the nearest to `keep` counts. Raises InputError where a side has one error
    only, or random was not tried.
    """
    trials, name = read_trials(source)
    nearest = trials["keep"].iloc[int((np.log(trials["keep"] / keep)).abs().argmin())]
    here = trials[np.isclose(trials["keep"], nearest)]
    logs = {
        str(side): np.log(np.maximum(part["error"].to_numpy(float), 1e-9))
        for side, part in here.groupby("side")
    }
    if "random" not in logs or any(len(entries) < 2 for entries in logs.values()):
        raise InputError(
            f"{name}: at keep={nearest:g} every side needs two errors or more, and 'random' must "
            f"be among them; got {', '.join(f'{k}: {len(v)}' for k, v in logs.items())}."
        )
    pooled = np.concatenate([entries - entries.mean() for entries in logs.values()])
    spread = float(np.sqrt((pooled**2).sum() / max(len(pooled) - len(logs), 1)))
    base = logs.pop("random")
    return {
        side: (
            float(entries.mean() - base.mean()),
            max(spread * np.sqrt(1 / len(entries) + 1 / len(base)), 1e-3),
        )
        for side, entries in logs.items()
    }, float(nearest)
