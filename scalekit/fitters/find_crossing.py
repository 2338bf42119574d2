"""Finding where two curves cross, in the fits and in every draw, and what to call the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from scalekit.errors import InputError
from scalekit.fitters.crossings import count_crossings, crossings, followed_crossings
from scalekit.fitters.crossover import SURE, Crossover
from scalekit.fitters.curve import Curve
from scalekit.notes import Note
from scalekit.results import Interval, Provenance

POINTS = 400


def find_crossover(
    curves: Mapping[str, Curve],
    first: str,
    second: str,
    within: tuple[float, float],
    confidence_level: float,
    provenance: Provenance,
) -> Crossover:
    """Return where `first` and `second` cross within the range; raises InputError for a bad range.

    The winner is the system that is ahead after the last crossing of the fits. Where these do not
    cross it is the one that is ahead, or, while a crossing cannot be ruled out, the one that might
    overtake.
    """
    low, high = (float(end) for end in within)
    if not (0 < low < high and np.isfinite(high)):
        raise InputError(
            f"The range to look for a crossing must be two growing positive numbers; got {within}."
        )
    grid = np.geomspace(low, high, POINTS)
    gap = curves[second].draws(grid) - curves[first].draws(grid)
    gap = gap[np.isfinite(gap).all(axis=1)]
    if not len(gap):
        raise InputError("No resample has a finite curve in the range; take a simpler law.")

    def apart(x: np.ndarray) -> np.ndarray:
        return curves[second].estimate(x) - curves[first].estimate(x)

    roots = crossings(apart, low, high)
    last = roots[-1] if len(roots) else low
    leads = bool(apart(np.array([np.sqrt(last * high)]))[0] < 0)
    if not len(roots):  # the one behind is the one that might overtake
        leads = not leads
    winner, loser = (second, first) if leads else (first, second)
    sign = 1.0 if leads else -1.0
    gap = sign * gap
    order = _order(apart, roots, low, high, (second, first))
    number = count_crossings(gap)
    points = followed_crossings(gap, grid, last if len(roots) else high)
    observed = (
        max(curves[name].span[0] for name in (first, second)),
        min(curves[name].span[1] for name in (first, second)),
    )
    chance = float(np.mean((points >= low) & (points <= high)))
    tail = (1 - confidence_level) / 2
    ends = np.quantile(points, [tail, 0.5, 1 - tail], method="nearest")
    method = next(iter(curves.values())).fit.interval_method
    status = _status(chance, ends, float(np.mean(gap[:, -1] < 0)))
    ahead = gap if status != "none in range" else -gap
    names = (winner, loser) if status != "none in range" else (loser, winner)
    return Crossover(
        winner=names[0],
        loser=names[1],
        along=curves[first].along,
        within=(low, high),
        observed=observed,
        status=status,
        estimates=tuple(float(root) for root in roots),
        order=order,
        in_the_limit=_limit(curves, winner, loser),
        median=float(np.clip(ends[1], low, high)) if status != "none in range" else np.nan,
        interval=Interval(
            float(np.clip(ends[0], low, high)),
            float(np.clip(ends[2], low, high)),
            confidence_level,
            method,
        ),
        open_below=bool(ends[0] < low),
        open_above=bool(ends[2] > high),
        probability=chance,
        probability_observed=float(np.mean((points >= observed[0]) & (points <= observed[1]))),
        counts={
            "none": float(np.mean(number == 0)),
            "one": float(np.mean(number == 1)),
            "two": float(np.mean(number == 2)),
            "more": float(np.mean(number > 2)),
        },
        ahead_at_start=float(np.mean(ahead[:, 0] < 0)),
        ahead_at_end=float(np.mean(ahead[:, -1] < 0)),
        notes=_notes(number, status, ends, observed),
        provenance=provenance,
    )


def _status(chance: float, ends: np.ndarray, ahead_at_end: float) -> str:
    """Return the verdict: sure of a crossing, sure that there is none, or neither.

    A crossing that may lie beyond the range, by a winner that may not lead at its end, is none.
    """
    if chance <= 1 - SURE:
        return "none in range"
    inside = 0 < ends[1] < np.inf
    settled = np.isfinite(ends[2]) or ahead_at_end >= SURE
    return "crosses" if chance >= SURE and inside and settled else "not identified"


def _order(
    apart: Callable[[np.ndarray], np.ndarray], roots: np.ndarray, low: float, high: float,
    names: tuple[str, str],
) -> tuple[str, ...]:  # fmt: skip
    """Return who is ahead before, between and after the roots; `names`: for a negative, else."""
    edges = np.concatenate([[low], roots, [high]])
    between = np.sqrt(edges[:-1] * edges[1:])
    return tuple(names[0] if value < 0 else names[1] for value in apart(between))


def _limit(curves: Mapping[str, Curve], winner: str, loser: str) -> str:
    """Return who is ahead as the scale grows without end, by the fits of every law."""
    far = np.array([1e60])
    gaps = (curves[winner].estimates(far) - curves[loser].estimates(far))[:, 0]
    if not np.isfinite(gaps).all() or np.abs(gaps).min() < 1e-12:
        return "not determined"
    if len(set(np.sign(gaps))) > 1:
        return "the laws differ"
    return winner if gaps[0] < 0 else loser


def _notes(
    number: np.ndarray, status: str, ends: np.ndarray, observed: tuple[float, float]
) -> tuple[Note, ...]:
    notes = []
    if status == "not identified":
        notes.append(
            Note(
                "crossover_not_identified",
                "warning",
                "The runs do not settle whether or where the curves cross. Run larger "
                "scales, or ask `scalekit next-runs` (in Python next_runs) which would settle it.",
            )
        )
    if status == "crosses" and np.isfinite(ends[1]) and ends[1] > observed[1]:
        notes.append(
            Note(
                "crossing_beyond_data",
                "warning",
                f"The crossing lies {np.log10(ends[1] / observed[1]):.1f} decades beyond the "
                "largest scale that both systems were run at.",
            )
        )
    if np.mean(number > 1) > 0.1:
        notes.append(
            Note(
                "several_crossings",
                "info",
                f"{np.mean(number > 1):.0%} of the resamples cross more than once; the scale given "
                "is the crossing of the fits, followed through the resamples.",
            )
        )
    return tuple(notes)
