"""Fitting a mixing law to pilot runs: `fit_mixture("pilots.csv")`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import check_level
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.mixtures.catalogue import mixing_law
from scalekit.selectors.mixtures.crossval import FOLDS, REPEATS, compare_laws
from scalekit.selectors.mixtures.mixture_fit import MixtureFit
from scalekit.selectors.mixtures.pilots import Table, by_name, read_pilots
from scalekit.selectors.mixtures.training import TrainedSum

DRAWS, REGRESSION_DRAWS = 200, 40
AUTO = ("loglinear", "bimix", "additive")
AUTO_SCALES = (*AUTO, "joint")  # where pilots have several scales
NORMAL_MAD = 0.6745  # median absolute deviation of a standard normal
FAR, FAR_SHARE = 8.0, 0.05  # robust deviations, share of the loss: beyond both a pilot is told


def fit_mixture(
    pilots: Table,
    *,
    shares: str | Sequence[str] | None = None,
    targets: str | Sequence[str] | None = None,
    scales: Sequence[str] = (),
    law: str | Sequence[str] = "additive",
    target_weights: Mapping[str, float] | None = None,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    draws: int | None = None,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> MixtureFit:
    """Fit a mixing law to pilot runs, with held-out errors, draws and notes.

    `pilots` is a CSV file or a table with a row for each run; `shares` and `targets` are columns
    or patterns (default: those that begin with "share_" and "loss_"); `scales` are columns such
    as params and tokens, where the pilots have several. `law` is a name of `mixing_laws()`, a
    list of names, or "auto" (loglinear, bimix, additive; with scales also joint): several are
    compared by repeated cross-validation, and the simplest within one standard error of the best
    is taken.
    `target_weights` makes one loss of several targets (default: all the same).

    Raises ColumnNotFoundError for a column or name that is not there, InputError for a table that
    cannot be used, FitError where a law cannot be fitted.

    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> h = rng.dirichlet([1, 1], size=12)
    >>> table = pd.DataFrame(h, columns=["share_web", "share_code"])
    >>> table["loss_code"] = 1.5 + 1 / (0.3 + 2 * h[:, 1] ** 0.5)
    >>> fitted = fit_mixture(table, draws=20)
    >>> bool(fitted.accuracy()["r2"][0] > 0.99)
    True
    """
    check_level(confidence_level)
    if folds < 2 or repeats < 1:
        raise InputError(f"folds ({folds}) must be 2 or more and repeats ({repeats}) 1 or more.")
    read = read_pilots(pilots, shares, targets, scales)
    names = [law] if isinstance(law, str) else list(law)
    if law == "auto":
        names = list(AUTO_SCALES if read.scales else AUTO)
    generator = as_generator(rng)
    chosen, trained, residuals, table = compare_laws(names, read, folds, repeats, generator)
    weights = _target_weights(target_weights, read.targets)
    deviation = np.sqrt(np.nanmean(residuals**2, axis=(0, 2)))
    count = draws or (DRAWS if isinstance(trained, TrainedSum) else REGRESSION_DRAWS)
    drawn = trained.draw(count, deviation, generator)
    fitted = MixtureFit(
        mixing_law(chosen), trained, drawn, residuals, table, weights, confidence_level,
        read.notes, replace(read.provenance, seed=seed_of(rng)),
    )  # fmt: skip
    return replace(fitted, notes=(*read.notes, *_remarks(fitted, count)))


def _target_weights(given: Mapping[str, float] | None, targets: Sequence[str]) -> np.ndarray:
    if given is None:
        return np.full(len(targets), 1 / len(targets))
    found = by_name(given, targets, "target_weights", missing=0.0, kind="target")
    if not (found >= 0).all() or not found.sum() > 0:
        told = ", ".join(f"{name}={value:g}" for name, value in given.items())
        raise InputError(
            f"target_weights are {told}; they must be zero or more, and not all zero. Leave out a "
            "target that does not count."
        )
    return np.asarray(found / found.sum())


def _remarks(fitted: MixtureFit, draws: int) -> list[Note]:
    made = (
        "perturbed losses and priors (randomise then optimise)"
        if isinstance(fitted.trained, TrainedSum)
        else "resampled mixtures"
    )
    notes = [
        Note("intervals", "info", f"Intervals of the law: {draws} refits to {made}; of a new run: "
             "held-out residuals.")
    ]  # fmt: skip
    if fitted.pilots.scales and fitted.law.same_at_all_scales:
        notes.append(
            Note(
                "one_mixture",
                "info" if len(fitted.laws) > 1 else "warning",
                f"By the law '{fitted.law.name}' one mixture is best at all scales; 'joint' lets "
                "it move. Compare them, law=['additive', 'joint'] (--law additive,joint).",
            )
        )
    table, far = fitted.accuracy(), _far_pilots(fitted)
    for name, r2 in zip(table["target"], table["r2"], strict=True):
        if not r2 > 0:
            advice = "run more pilots, or try law='auto' (--law auto)"
            if name in far:
                advice = "look first at the pilot that is named as far from the others"
            notes.append(
                Note(
                    "no_skill",
                    "error",
                    f"Held out, the law predicts '{name}' no better than its mean (R2 {r2:.2f}). "
                    f"Do not choose a mixture by it: {advice}.",
                )
            )
    return [*notes, *far.values()]


def _far_pilots(fitted: MixtureFit) -> dict[str, Note]:
    """Return a note on pilots that lie far from what all others say of them, for each target."""
    notes = {}
    held_out = fitted.residuals.mean(axis=0)  # observed less predicted, (targets, pilots)
    for name, errors, losses in zip(
        fitted.pilots.targets, held_out, fitted.pilots.losses, strict=True
    ):
        there = np.isfinite(errors)
        spread = np.median(np.abs(errors[there] - np.median(errors[there]))) / NORMAL_MAD
        far = there & (np.abs(errors) > FAR * spread) & (np.abs(errors) > FAR_SHARE * losses)
        if far.any():
            row = int(np.argmax(np.where(far, np.abs(errors), 0.0)))
            more = f" ({int(far.sum())} such pilots)" if far.sum() > 1 else ""
            notes[name] = Note(
                "far_pilot",
                "warning",
                f"Data row {row + 1}: the target '{name}' is {losses[row]:.4g}, where the "
                f"other pilots say {losses[row] - errors[row]:.4g}{more}. Did that run "
                "diverge? It moves the mixture; leave it out if so.",
            )
    return notes
