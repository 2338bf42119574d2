"""Which pilot mixture to run next: the one that promises the better choice afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.mixtures.counts import Counts, read_counts
from scalekit.selectors.mixtures.limits import AVAILABLE, make_limits
from scalekit.selectors.mixtures.mixture_fit import MixtureFit
from scalekit.selectors.mixtures.objective import Aim, make_aim
from scalekit.selectors.mixtures.optimum import sample_mixtures
from scalekit.selectors.mixtures.pilot_plan import PilotPlan
from scalekit.selectors.mixtures.pilots import by_name
from scalekit.units import format_quantity, parse_quantity

CANDIDATES = 400
MOST_DRAWS = 100  # whose best mixtures are candidates too
DECIMALS = 3  # nobody mixes data more exactly


def next_pilots(
    fit: MixtureFit,
    count: int = 1,
    *,
    available: Counts | None = None,
    budget: float | str | None = None,
    prior: Mapping[str, float] | None = None,
    kl: float = 0.0,
    repeat_value: float | None = None,
    at: Mapping[str, float] | None = None,
    rng: RandomState = 0,
    **limits: Any,
) -> PilotPlan:
    """Return `count` mixtures whose runs promise the best choice afterwards, best first.

    The knowledge gradient (Frazier et al. 2009) over the law's draws: how much lower, on average,
    the loss of the mixture chosen after the run will be. Each further mixture is what adds most
    to those before it. The options are those of `choose`, since a pilot is worth what it does
    for that choice; with `at`, pilots of the largest scale so far serve a choice at another.
    Shares have three decimals.
    Raises InputError for a count below one and for limits that no mixture meets.
    """
    if count < 1:
        raise InputError(f"count is {count}; ask for one mixture or more.")
    generator = as_generator(rng)
    tokens = None if available is None else read_counts(available, AVAILABLE, zeros=True)
    drawn = None if budget is None else parse_quantity(budget)
    counts = None if tokens is None else by_name(tokens, fit.sources, AVAILABLE)
    allowed = make_limits(fit.sources, available=tokens, budget=drawn, **limits)
    aim, _, _ = make_aim(fit, at, kl, repeat_value, prior, counts, drawn)
    each = aim.best(allowed, generator, draws=True).shares
    best = aim.best(allowed, generator).shares
    spread = sample_mixtures(allowed, CANDIDATES, generator)
    shares = _rounded(np.vstack([best, each[:MOST_DRAWS], spread]))
    pilot = replace(aim.plain(), scales=fit.settle_scales({}))
    decided, observed = aim.values(shares, draws=True), pilot.losses(shares, draws=True)
    error = np.einsum("t,btr->br", fit.weights, fit.residuals)
    noise = float(np.sqrt(np.nanvar(error) + 1e-12))
    picks, gains, deviations = _greedy(decided, observed, noise, count, generator)
    table = pd.DataFrame(shares[picks], columns=list(fit.sources))
    regret = float(decided.mean(axis=0).min() - decided.min(axis=1).mean())
    scales = {name: float(value) for name, value in pilot.scales.items()}
    limited = tokens is not None or any(limits.values())
    return PilotPlan(
        table.assign(expected_gain=gains, deviation=deviations), fit.sources, fit.law.name,
        regret, noise, scales, (*fit.notes, *_remarks(aim, pilot, limited)),
        replace(fit.provenance, seed=seed_of(rng)),
    )  # fmt: skip


def _rounded(shares: np.ndarray) -> np.ndarray:
    """Return shares of three decimals that sum to one: the largest takes what is left over."""
    found = shares.round(DECIMALS)
    rows = np.arange(len(found))
    largest = found.argmax(axis=1)
    found[rows, largest] += 1 - found.sum(axis=1)
    return found.round(DECIMALS)


def _greedy(
    decided: np.ndarray,
    observed: np.ndarray,
    noise: float,
    count: int,
    rng: np.random.Generator,
) -> tuple[list[int], list[float], list[float]]:
    """Return which candidates to run, what each adds, and how unsure their losses are.

    `decided` and `observed` (draws, candidates) are what is made small, and what a pilot shows.
    Each draw is taken for the truth once. The pilots that it would show correct the means
    linearly, and the mixture that is best by these is judged by that truth: so no pilot can
    promise more than knowing the law exactly, however skewed the draws are.
    """
    mean, truths = decided.mean(axis=0), np.arange(len(decided))
    left, seen = decided - mean, observed - observed.mean(axis=0)
    deviation = seen.std(axis=0)
    cross, own = left.T @ seen / len(seen), seen.T @ seen / len(seen)
    believed = np.tile(mean, (len(seen), 1))  # a row for each truth
    picks: list[int] = []
    gains: list[float] = []
    for _ in range(count):
        shown = seen + noise * rng.standard_normal((len(seen), 1))
        slopes = cross / (np.diagonal(own) + noise**2)
        chosen = [(believed + np.outer(y, slope)).argmin(axis=1)
                  for y, slope in zip(shown.T, slopes.T, strict=True)]  # fmt: skip
        after = np.array([decided[truths, places].mean() for places in chosen])
        pick = int(after.argmin())
        picks.append(pick)
        gains.append(float(decided[:, mean.argmin()].mean() - after[pick] - sum(gains)))
        told = own[pick] / (own[pick, pick] + noise**2)
        believed = believed + np.outer(shown[:, pick], slopes[:, pick])
        seen = seen - np.outer(shown[:, pick], told)
        cross, own = cross - np.outer(cross[:, pick], told), own - np.outer(own[pick], told)
    return picks, gains, deviation[picks].tolist()


def _remarks(aim: Aim, pilot: Aim, limited: bool) -> list[Note]:
    notes = []
    if not limited:
        notes.append(Note("no_limits", "warning",
                          "These pilots serve a choice without limits. If the large run has "
                          "any, give them here too: available (--counts) with budget and "
                          "max_epochs, or caps."))  # fmt: skip
    if any(float(aim.scales[name]) > float(value) for name, value in pilot.scales.items()):
        told = ", ".join(f"{name} {format_quantity(float(value))}"
                         for name, value in pilot.scales.items())  # fmt: skip
        notes.append(Note("pilot_scale", "info",
                          f"The pilots are meant to be run at {told}, the largest so "
                          "far."))  # fmt: skip
    return notes
