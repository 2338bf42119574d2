"""The tables of a comparison: who is the best choice, by how much they differ, law by law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean

if TYPE_CHECKING:
    from scalekit.fitters.comparison import Comparison

At = float | Sequence[float] | np.ndarray


def win_table(duel: Comparison, scales: np.ndarray) -> pd.DataFrame:
    """Return one row a scale and system: loss with interval, win probability, regret."""
    logs = np.stack([curve.draws(scales) for curve in duel.curves.values()])
    logs = logs[:, np.isfinite(logs).all(axis=(0, 2))]
    lowest = logs.min(axis=0)
    first = logs == lowest
    wins = (first / first.sum(axis=0)).mean(axis=1)
    regret = np.expm1(logs - lowest).mean(axis=1)
    tables = []
    for k, (name, curve) in enumerate(duel.curves.items()):
        low, high = _quantiles(logs[k], duel.confidence_level)
        tables.append(
            pd.DataFrame({
                "at": scales,
                "system": name,
                "predicted": np.exp(curve.estimate(scales)),
                "ci_lower": np.exp(low),
                "ci_upper": np.exp(high),
                "win_probability": wins[k],
                "regret": regret[k],
                "extrapolation": np.maximum(np.log10(scales / curve.span[1]), 0.0),
            })
        )  # fmt: skip
    return pd.concat(tables).sort_values("at", kind="stable").reset_index(drop=True)


def difference_table(duel: Comparison, scales: np.ndarray, first: str, second: str) -> pd.DataFrame:
    """Return, for each scale, by what share the loss of `second` differs from that of `first`."""
    a, b = duel.curves[first], duel.curves[second]
    draws = b.draws(scales) - a.draws(scales)
    draws = draws[np.isfinite(draws).all(axis=1)]
    low, high = _quantiles(draws, duel.confidence_level)
    return pd.DataFrame(
        {
            "at": scales,
            "difference": np.expm1(b.estimate(scales) - a.estimate(scales)),
            "ci_lower": np.expm1(low),
            "ci_upper": np.expm1(high),
            "probability_lower": (draws < 0).mean(axis=0),
        }
    )


def law_table(duel: Comparison) -> pd.DataFrame:
    """Return one row a law: the best at the last asked scale under it alone, and its crossing."""
    pair = choose_pair(duel, None, None)
    rows = []
    for law in duel.laws:
        alone = duel.under(law.name)
        best = alone.win_probability(duel.asked[-1:]).nlargest(1, "win_probability").iloc[0]
        cross = alone.crossover(*pair).answer()
        rows.append(
            {"law": law.name, "best": best["system"], "win_probability": best["win_probability"]}
            | {n: cross[n] for n in ("winner", "median", "ci_lower", "ci_upper", "status")}
        )
    return pd.DataFrame(rows)


def choose_pair(duel: Comparison, first: str | None, second: str | None) -> tuple[str, str]:
    """Return the two systems that are meant: of more than two, the best at the last asked scale."""
    for name in (first, second):
        if name is not None and name not in duel.fits:
            raise ColumnNotFoundError(
                f"There is no system '{name}'. {did_you_mean(name, duel.systems)}"
            )
    if first is not None and second is not None:
        if first == second:
            raise InputError(f"A system cannot be compared with itself ('{first}').")
        return first, second
    if len(duel.systems) == 2:
        order = list(duel.systems)
    else:
        table = duel.win_probability(duel.asked[-1:])
        order = list(table.sort_values("win_probability", ascending=False)["system"])
    others = [name for name in order if name not in (first, second)]
    if first is not None:
        return first, others[0]
    return (others[0], second) if second is not None else (others[0], others[1])


def positive_scales(at: At) -> np.ndarray:
    """Return scales as an array; raise InputError where they are no positive numbers."""
    try:
        found = np.atleast_1d(np.asarray(at, dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"Cannot read {at!r} as scales; give positive numbers.") from None
    if not (np.isfinite(found) & (found > 0)).all() or not found.size:
        raise InputError(f"Scales to compare at must be positive numbers; got {at!r}.")
    return found


def _quantiles(draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high
