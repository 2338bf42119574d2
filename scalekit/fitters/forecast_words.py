"""Words about forecasts: tables of candidates, and what a reader must be told."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalekit.fitters.combined import Combination
from scalekit.fitters.study import Study
from scalekit.notes import Note
from scalekit.units import format_quantity

CLOSE = 0.5  # of the roll-out error: candidates this much worse still count as rivals
UNTRIED = 0.3  # decades by which another scale may leave the runs further than the one asked along


def describe_scores(table: pd.DataFrame) -> str:
    """Return the table of candidates as text; those without weight and chance are counted."""
    shown = table[(table["weight"] >= 0.005) | (table["probability"] >= 0.05)]
    lines = [f"  {'candidate':<40} {'weight':>7} {'P(best)':>8} {'error':>8}"]
    for row in shown.to_dict("records"):
        lines.append(
            f"  {row['candidate']:<40} {row['weight']:>7.2f} {row['probability']:>8.2f} "
            f"{row['error']:>8.2%}"
        )
    left = len(table) - len(shown)
    return "\n".join(lines) + (f"\n  ({left} more without weight)" if left else "")


def short_curve_notes(study: Study) -> list[Note]:
    """Return what to tell of curves that are too short to stand alone."""
    rows = study.present.sum(axis=1)
    short = int((rows < 6).sum())
    if not short:
        return []
    return [
        Note(
            "short_curves",
            "warning",
            f"{short} of {len(study)} curves have fewer than 6 rows; their forecasts rest on what "
            "the other curves are like.",
        )
    ]


def untried_notes(
    asked: pd.DataFrame,
    reached: np.ndarray,
    decades: np.ndarray,
    scale: np.ndarray,
    along: str,
) -> list[Note]:
    """Return what to tell where a scale leaves the runs further than the one of the roll-outs.

    `reached` (rows,) are the decades beyond the runs in `along`; `decades` those in the scale where
    they are most, which `scale` names.
    """
    if not len(asked) or not (decades > reached + UNTRIED).any():
        return []
    row = int(np.argmax(decades - reached))
    name = scale[row]
    return [
        Note(
            "untried_ratio",
            "warning",
            f"{name} {format_quantity(asked[name].iloc[row])} lies {decades[row]:.1f} decades "
            f"outside the runs. Roll-outs forecast larger {along} at ratios of scales that the "
            "runs have: nothing has tested this, and the interval does not know of it.",
        )
    ]


def horizon_notes(found: Combination, asked: float) -> list[Note]:
    """Return what to tell where the roll-outs reach less far than asked."""
    if found.horizon >= asked:
        return []
    return [
        Note(
            "shorter_horizon",
            "warning",
            f"The runs allow roll-outs over a factor of {found.horizon:.2g} only, not {asked:g}.",
        )
    ]


def rival_notes(found: Combination) -> list[Note]:
    """Return what to tell where several candidates forecast about as well as the best."""
    scores = found.scores()
    best = scores.iloc[0]
    close = scores[scores["error"] <= (1 + CLOSE) * best["error"]]
    if len(close) < 2 or best["probability"] > 0.9:
        return []
    return [
        Note(
            "no_single_law",
            "info",
            f"{len(close) - 1} more forecast about as well as the best, {best['candidate']} "
            f"(P(best) {best['probability']:.2f}): use the combination, not one law.",
        )
    ]
