"""Comparing recipes at scale: `compare(runs, by="recipe", along="flops")`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import FitError, InputError
from scalekit.fitters.comparing_inputs import (
    SIZES,
    Entry,
    choose_selection,
    enter,
    unsaid,
)
from scalekit.fitters.comparing_notes import (
    fit_notes,
    largest_notes,
    lost_notes,
    pooled_notes,
    tuning_notes,
)
from scalekit.fitters.comparison import Comparison
from scalekit.fitters.drift import forecast_larger, measure_drift
from scalekit.fitters.fitted import Fit
from scalekit.fitters.fitting import RESAMPLES
from scalekit.fitters.law import Law
from scalekit.fitters.laws import as_law
from scalekit.fitters.paired import System, choose_resampling, joint_draws
from scalekit.fitters.selection import check_selection
from scalekit.fitters.systems import fit_systems
from scalekit.notes import Note
from scalekit.results import check_level
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable

ENOUGH_TO_SHIFT = 8  # scales of every system, from which on four parameters are fitted
FEWEST_RESAMPLES = 10


def compare(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    by: str = "group",
    law: str | Law | Sequence[str | Law] | None = None,
    along: str | None = None,
    *,
    select: str = "auto",
    at: float | Sequence[float] | None = None,
    pair_by: Sequence[str] | None = None,
    drift: bool = True,
    objective: str = "huber_log",
    delta: float | None = None,
    resamples: int = RESAMPLES,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Comparison:
    """Compare two or more systems (recipes, data sets) along a scale, with paired draws.

    `runs` has a column `by` that names the system of each run, a column `loss` (positive; lower
    is better; for an accuracy give 1 - accuracy) and the scales. The law is fitted to each system
    `along` a scale (default flops, else the first of tokens, samples, params that is there). One
    `law`, or several that share the draws in equal parts; default "power_constant", "power" and,
    from eight scales of every system on, "shifted_power", since no run says which of them goes
    on. A law of params and tokens is compared along flops at each budget's best sizes.

    `select` says which runs the curve follows: "all"; "best", the best run at each combination of
    scales (a grid of hyper-parameters); "frontier", the runs that no run of less compute beats
    (grids of sizes). "auto" takes "frontier" where runs of several sizes share the same compute,
    and "best" where runs of one size differ in a hyper-parameter (a column such as `lr`).
    The selection is made anew inside every resample. `at` lists the scales to decide at (default:
    ten times the largest run). Runs of two systems with equal scales (and equal `pair_by`
    columns, such as a seed) are resampled together. With `drift` the draws also hold what the
    law got wrong when it forecast the larger runs from the smaller (see `fitters.drift`).

    Raises InputError for a table that cannot be used, FitError where a law cannot be fitted.

    >>> import scalekit as sk
    >>> x = [1e18, 3e18, 1e19, 3e19, 1e20, 3e20]
    >>> duel = sk.compare({"recipe": ["a"] * 6 + ["b"] * 6, "flops": x * 2,
    ...                    "loss": [3 * (c / 1e18) ** -0.05 for c in x]
    ...                           + [3.3 * (c / 1e18) ** -0.09 for c in x]},
    ...                   by="recipe", law="power", rng=0)
    >>> f"{duel.crossover().median:.2g}"
    '1.1e+19'
    """
    check_selection(select)
    if resamples < FEWEST_RESAMPLES:
        raise InputError(f"resamples must be {FEWEST_RESAMPLES} or more; got {resamples}.")
    level = check_level(confidence_level)
    entry = enter(runs, by, law, along)
    parts, along = entry.parts, entry.along
    chosen, told = choose_selection(select, entry.laws[0], along, parts)
    keys = [n for n in (*entry.scales, *SIZES, *(pair_by or ())) if n in entry.frame]
    options = {"objective": objective, "delta": delta, "confidence_level": level}
    fitted, left = _fit_laws(entry, law is None, chosen, keys, options)
    generator = as_generator(rng)
    blocks = [
        _draw_block(fits, own, along, chosen, -(-resamples // len(fitted)), drift, generator)
        for fits, own in fitted.values()
    ]
    words, seed = _describe(blocks, chosen), seed_of(rng)
    mixed = [block.signed(words, seed) for block in blocks]
    first, systems = next(iter(fitted.values()))
    duel = Comparison(
        by=entry.called,
        along=along,
        select=chosen,
        fits=mixed[0],
        others=tuple(mixed[1:]),
        drifts=np.concatenate([block.drifts for block in blocks], axis=1),
        asked=np.zeros(0),
        confidence_level=level,
        interval_method=words,
        runs=entry.frame[[entry.by, *entry.scales, "loss"]].rename(columns={entry.by: "system"}),
        notes=(
            *entry.notes,
            *told,
            *left,
            *lost_notes({law: block.lost_of for law, block in zip(fitted, blocks, strict=True)}),
            *largest_notes(parts, first, along),
            *tuning_notes(chosen, systems, list(parts)),
            *unsaid(fit_notes([block.fits for block in blocks]), entry.notes),
            *pooled_notes(parts),
        ),
        provenance=replace(entry.provenance, seed=seed),
    )
    return duel.decide([10 * duel.reach] if at is None else np.atleast_1d(np.asarray(at, float)))


def _fit_laws(
    entry: Entry, mixed: bool, select: str, keys: list[str], options: dict[str, Any]
) -> tuple[dict[str, tuple[dict[str, Fit], list[System]]], list[Note]]:
    """Return the fits of each law to each system, and what to tell of laws that cannot be fitted.

    The first law must be; `mixed` means that the others are chosen here.
    """
    along, first = entry.along, entry.laws[0]
    fitted = {first.name: fit_systems(entry.parts, first, along, select, keys, options)}
    notes = []
    for other in _others(fitted[first.name][0], along) if mixed else entry.laws[1:]:
        try:
            fitted[other.name] = fit_systems(entry.parts, other, along, select, keys, options)
        except FitError as error:
            notes.append(
                Note("law_left_out", "warning", f"The law '{other.name}' is left out of the mix, "
                     f"since it cannot be fitted. {error}")
            )  # fmt: skip
    return fitted, notes


@dataclass(frozen=True)
class _Block:
    """The draws of one law: fits with joint draws, and changes of slope (systems, draws)."""

    fits: dict[str, Fit]
    drifts: np.ndarray
    method: str
    shared: float
    lost: int

    @property
    def kept(self) -> int:
        """Number of draws."""
        return int(self.drifts.shape[1])

    @property
    def lost_of(self) -> tuple[int, int]:
        """The number of draws that could not be fitted, and of all."""
        return self.lost, self.lost + self.kept

    def signed(self, words: str, seed: int | None) -> dict[str, Fit]:
        """Return the fits, saying how their draws were made."""
        return {
            name: replace(
                found, interval_method=words, provenance=replace(found.provenance, seed=seed)
            )
            for name, found in self.fits.items()
        }


def _draw_block(
    fits: dict[str, Fit], systems: list[System], along: str, select: str, resamples: int,
    drift: bool, rng: np.random.Generator,
) -> _Block:  # fmt: skip
    method = choose_resampling(systems, select)
    draws, shared = joint_draws(systems, select, method, resamples, rng)
    good = np.all([np.isfinite(draw).all(axis=1) for draw in draws], axis=0)
    kept = {name: replace(found, draws=draw[good])
            for (name, found), draw in zip(fits.items(), draws, strict=True)}  # fmt: skip
    forecasts = forecast_larger(list(fits.values()), along) if drift else []
    measured = measure_drift(forecasts)
    return _Block(kept, measured.draw(len(fits), int(good.sum()), rng), method, shared,
                  int((~good).sum()))  # fmt: skip


def _others(fits: Mapping[str, Fit], along: str) -> list[Law]:
    """Return the laws that share the draws with 'power_constant' where none was asked for.

    Equal parts, not weights: the laws differ most where no run has been, and how well they
    forecast inside the runs says little about that (measured in `benchmarks/LOG.md`).
    """
    fewest = min(len(np.unique(fitted.scales[along])) for fitted in fits.values())
    names = ("power", "shifted_power") if fewest >= ENOUGH_TO_SHIFT else ("power",)
    return [as_law(name).along(along) for name in names]


def _describe(blocks: Sequence[_Block], select: str) -> str:
    words = {"wild": "joint wild bootstrap (Webb weights)", "pairs": "joint bootstrap of runs"}
    text = f"{words[blocks[0].method]}, {sum(block.kept for block in blocks)} resamples"
    if len(blocks) > 1:
        text += f", an equal part with each of {len(blocks)} laws"
    if select != "all":
        text += f", {select} selected anew in each"
    return text + f", {blocks[0].shared:.0%} of configurations shared"
