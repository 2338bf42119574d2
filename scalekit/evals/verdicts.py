"""From a difference and its error to a verdict, in one sentence, and what would settle it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalekit.evals.additions import cheapest_addition
from scalekit.evals.pairing import Pair
from scalekit.evals.planning import noncentral_shift
from scalekit.units import percent


def verdict(p: float, p_equivalent: float, level: float) -> str:
    """Return "real", "equivalent", "not resolved", or "refused" where there is no p."""
    if not np.isfinite(p):
        return "refused"
    if p < level:
        return "real"
    return "equivalent" if p_equivalent < level else "not resolved"


def resolve(
    pair: Pair,
    found_verdict: str,
    costs: Mapping[str, float],
    power: float,
    confidence_level: float,
) -> dict[str, Any]:
    """Return the detectable difference and, for an open one, the cheapest addition."""
    if pair.noise is None or pair.difference is None:
        return {}
    seeds, samples = min(pair.seeds), max(1, round(pair.samples))
    design = seeds, pair.items, samples
    detectable = float(pair.noise.detectable(*design, confidence_level, power))
    if not np.isfinite(detectable):  # one seed against several: the plan has no df, the test has
        shift = noncentral_shift(pair.difference.df, confidence_level, power)
        detectable = float(shift) * pair.difference.standard_error
    found: dict[str, Any] = {"detectable": detectable}
    observed = abs(pair.scores[0] - pair.scores[1])
    if found_verdict != "not resolved" or observed == 0:
        return found
    best = cheapest_addition(pair.noise, observed, *design, costs, power, confidence_level)
    if best is None:
        return found
    return found | {
        "needs_seeds": best.seeds_alone,
        "needs_items": best.items_alone,
        "needs_samples": best.samples_alone if samples > 1 else None,
        "cheapest": best.describe(*design),
        "added_cost": best.cost,
    }


def sentence(
    row: pd.Series,
    systems: tuple[str, str],
    confidence_level: float,
    margin: float | Mapping[str, float] | None,
) -> str:
    """Return the verdict on one benchmark in one sentence."""
    name = row["benchmark"] if row["benchmark"] == "(average)" else f"{row['benchmark']}"
    name = f"{name} ({row['metric']})"
    if row["verdict"] == "refused":
        return f"{name}: refused, the noise between seeds is not known."
    size = f"{abs(row['difference']):.4g}"
    interval = (
        f"{percent(confidence_level)} interval [{row['ci_lower']:.4g}, {row['ci_upper']:.4g}]"
    )
    limit = margin.get(row["benchmark"]) if isinstance(margin, Mapping) else margin
    if row["verdict"] == "real":
        ahead = systems[0] if row["better"] == "a" else systems[1]
        behind = systems[1] if row["better"] == "a" else systems[0]
        small = limit is not None and abs(row["difference"]) < limit
        within = f", though smaller than the margin of {limit:g}" if small else ""
        return (f"{name}: real. {ahead} is better than {behind} by {size} ({interval} of "
                f"{systems[0]} minus {systems[1]}, {_p(row)}){within}.")  # fmt: skip
    if row["verdict"] == "equivalent":
        return (
            f"{name}: equivalent. {systems[0]} minus {systems[1]}: {row['difference']:.4g}, within "
            f"the margin of {limit:g} ({interval}, p = {row['p_equivalent']:.2g})."
        )
    text = (f"{name}: not resolved. {systems[0]} minus {systems[1]}: {row['difference']:.4g} "
            f"({interval}, {_p(row)})")  # fmt: skip
    return text + _advice(row)


def _p(row: pd.Series) -> str:
    adjusted = "adjusted " if row["p_decisive"] != row["p"] else ""
    return f"{adjusted}p = {row['p_decisive']:.2g}"


def _advice(row: pd.Series) -> str:
    if not row.get("detectable", np.nan) > 0:  # not known, or a metric that never varies
        return "."
    text = f"; this design finds differences from {row['detectable']:.2g}"
    if isinstance(row["cheapest"], str) and row["cheapest"]:
        return f"{text}. Cheapest to resolve one of this size: {row['cheapest']}."
    if row["difference"] == 0:  # nothing to resolve
        return f"{text}."
    return (
        f"{text}, and no addition up to 100 seeds and 100 times the items would resolve this one."
    )
