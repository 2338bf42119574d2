"""Compute-optimal sizes from isoFLOP curves: runs of several sizes at each of several budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import FitError, InputError
from scalekit.fitters.fitting import RESAMPLES
from scalekit.fitters.isoflop_result import Isoflops
from scalekit.fitters.pooling import pooling_notes
from scalekit.fitters.powerline import power_line
from scalekit.fitters.valleys import (
    FEWEST,
    METHODS,
    NOISE_WINDOW,
    WINDOW,
    check_valley_method,
    near_bottom,
    smooth,
    valley,
)
from scalekit.notes import Note
from scalekit.results import Provenance, check_level
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable, check_runs
from scalekit.units import format_scale

FEWEST_BUDGETS = 3
RIVAL_RESAMPLES = 200
SHOWN = 3  # budgets named for each reason
SAME_BUDGET = 0.1  # runs whose FLOPs differ by less belong to one budget
UNSTABLE = 0.1  # share of resamples without a minimum inside, from which on a budget is doubtful


def isoflop(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    *,
    method: str = "parabola",
    window: float | None = None,
    noise: float | None = None,
    resamples: int = RESAMPLES,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Isoflops:
    """Find the best model size at each budget and its exponent N* ~ C^a.

    `runs` has columns `flops, params, loss`; runs whose FLOPs differ by less than 10% form one
    budget. `method` is "parabola" or "cubic" (least squares of log loss in log params) or "akima"
    (a spline through the points). `window` keeps, at each budget, only sizes within that factor
    of the best one, since far from the bottom no parabola holds (default 4 for the parabola, 10
    for the cubic, all for the spline). `noise` is the standard deviation of log loss between
    repeated runs; None takes the column `noise` (of the loss, a row each) where there is one, else
    the scatter about a cubic near the bottom, pooled over budgets. Intervals come from resampling
    this noise; a budget is used where the minimum lies inside its sizes, and weighs by how sharply
    it is known.

    Raises FitError where fewer than three budgets have a minimum inside: N* cannot be said.
    Hoffmann et al. 2022, arXiv:2203.15556, approach 2; Porian et al. 2024, arXiv:2406.19146.

    >>> import numpy as np, scalekit as sk
    >>> c, ratio = np.repeat([1e18, 1e19, 1e20], 5), np.tile([0.3, 0.55, 1, 1.8, 3.3], 3)
    >>> best = 1e8 * (c / 1e18) ** 0.5
    >>> found = sk.isoflop({"flops": c, "params": best * ratio,
    ...                     "loss": (c / 1e18) ** -0.05 * (3 + 0.1 * np.log(ratio) ** 2)})
    >>> round(float(found.exponents.loc["params", "estimate"]), 3)
    0.5
    """
    check_valley_method(method)
    level = check_level(confidence_level)
    if (window is not None and window <= 1) or (noise is not None and noise < 0) or resamples < 1:
        raise InputError(
            "isoflop: window is a factor above 1, noise zero or more, resamples 1 or more; got "
            f"window={window}, noise={noise}, resamples={resamples}."
        )
    frame, source, provenance, notes = _frame_of(runs)
    everything = _budgets(frame)
    spread, words = _noise(everything, noise)
    for budget in everything:
        budget["log_noise"] = budget["noise"] / budget["loss"] if spread is None else spread
    budgets = [_cut(budget, WINDOW[method] if window is None else window, FEWEST[method])
               for budget in everything]  # fmt: skip
    generator = as_generator(rng)
    rows, sizes = [], []
    for budget in budgets:
        row, drawn = _bottom(budget, method, resamples, level, generator)
        rows.append(row)
        sizes.append(drawn)
    table = pd.DataFrame(rows)
    used = (table["status"] == "used").to_numpy()
    if used.sum() < FEWEST_BUDGETS:
        reasons = _reasons(table[~used])
        raise FitError(
            f"{source}: {int(used.sum())} of {len(table)} budgets have a minimum inside their "
            f"sizes, and an exponent needs {FEWEST_BUDGETS}. {reasons or 'There are no others'}. "
            "Add smaller or larger models at these budgets, or more budgets."
        )
    logs = np.log(table["flops"].to_numpy()[used])
    centre = float(logs.mean())
    drawn = np.stack([s for s, u in zip(sizes, used, strict=True) if u], axis=1)
    line, lines = power_line(logs - centre, np.log(table["params"].to_numpy()[used]), drawn)
    tail = (1 - level) / 2
    low, high = np.quantile(lines[:, 0], [tail, 1 - tail])
    exponents = pd.DataFrame.from_dict(
        {
            "params": {"estimate": line[0], "ci_lower": low, "ci_upper": high},
            "tokens": {"estimate": 1 - line[0], "ci_lower": 1 - high, "ci_upper": 1 - low},
        },
        orient="index",
    )
    return Isoflops(
        method, table, exponents, line, lines, centre,
        pd.concat(budgets).reset_index(drop=True)[["flops", "params", "loss"]], level,
        f"noise {words}, {resamples} resamples",
        (*notes, *_notes(table, logs),
         *_rivals(everything, method, line[0], (low, high), level, generator)),
        Provenance(**{**vars(provenance), "seed": seed_of(rng)}),
    )  # fmt: skip


def _frame_of(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
) -> tuple[pd.DataFrame, str, Provenance, tuple[Note, ...]]:
    if isinstance(runs, RunTable):
        frame, source, notes = runs.frame, runs.provenance.source, runs.notes
    else:
        frame, source, notes = pd.DataFrame(runs), "the table", ()
    if "flops" not in frame and {"params", "tokens"} <= set(frame):
        frame = frame.assign(flops=6 * frame["params"] * frame["tokens"])
    table = check_runs(frame, scales=["flops", "params"], source=source, notes=notes)
    if (table.frame["loss"] <= 0).any():
        raise InputError(f"{source}: isoFLOP curves are drawn in log loss, which must be positive.")
    pooled = pooling_notes(table.frame, runs)
    return table.frame, source, table.provenance, (*table.notes, *pooled)


def _budgets(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the runs of each budget: one row a size (repeats averaged), sizes growing."""
    ordered = frame.sort_values("flops", kind="stable")
    logs = np.log(ordered["flops"].to_numpy())
    number = np.cumsum(np.diff(logs, prepend=logs[0]) > SAME_BUDGET)
    found = []
    for _, rows in ordered.groupby(number):
        columns = ["flops", "loss", *(["noise"] if "noise" in rows else [])]
        budget = rows.groupby("params", as_index=False)[columns].mean()
        budget["flops"] = np.exp(np.log(rows["flops"]).mean())
        found.append(budget)
    return found


def _logs(budget: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return np.log(budget["params"].to_numpy()), np.log(budget["loss"].to_numpy())


def _cut(budget: pd.DataFrame, window: float, fewest: int) -> pd.DataFrame:
    near = near_bottom(*_logs(budget), window, fewest)
    return budget[near].reset_index(drop=True)


def _noise(budgets: Sequence[pd.DataFrame], given: float | None) -> tuple[float | None, str]:
    """Return the noise of log loss and words for it; None where every row has its own.

    Where it is not given, it is the scatter about cubics near the bottom, pooled over budgets.
    """
    if given is not None:
        return float(given), f"of {given:.2g} in log loss (given)"
    if all("noise" in budget and budget["noise"].notna().all() for budget in budgets):
        return None, "as the column says"
    squares, free = 0.0, 0
    for budget in budgets:
        sizes, loss = _logs(_cut(budget, NOISE_WINDOW, 4))
        degree = min(3, len(loss) - 2)
        if degree >= 1:
            squares += float(((loss - smooth(sizes, loss, degree)) ** 2).sum())
            free += len(loss) - degree - 1
    spread = float(np.sqrt(squares / free)) if free else 0.0
    return spread, f"of {spread:.2g} in log loss (measured)"


def _bottom(
    budget: pd.DataFrame, method: str, resamples: int, level: float, rng: np.random.Generator,
) -> tuple[dict[str, Any], np.ndarray]:  # fmt: skip
    """Return the row of one budget, and the draws of its log size (NaN: none inside)."""
    row: dict[str, Any] = {"flops": float(budget["flops"].iloc[0]), "runs": len(budget)}
    names = [n + end for n in ("params", "tokens", "loss") for end in ("", "_lower", "_upper")]
    row |= dict.fromkeys(names, np.nan) | {"kept": 0.0}
    if len(budget) < FEWEST[method]:
        counted = "1 size" if len(budget) == 1 else f"{len(budget)} sizes"
        words = f"only {counted}, {method} needs {FEWEST[method]}"
        return row | {"status": words}, np.full(resamples, np.nan)
    logs, loss = _logs(budget)
    centre, bottom = (entry[0] for entry in valley(logs, loss[None], method))
    # least squares moves with noise about the smooth curve, a spline with noise about the points
    base = loss if method == "akima" else smooth(logs, loss, 2 if method == "parabola" else 3)
    moved = base + budget["log_noise"].to_numpy() * rng.standard_normal((resamples, len(loss)))
    sizes, bottoms = valley(logs, moved, method)
    row["kept"] = float(np.isfinite(sizes).mean())
    if not np.isfinite(centre):
        return row | {"status": "no minimum inside its sizes"}, sizes
    if row["kept"] < 0.5:
        return row | {"status": "minimum inside in less than half the resamples"}, sizes
    tail = (1 - level) / 2
    low, high = np.nanquantile(sizes, [tail, 1 - tail])
    data = np.log(row["flops"] / 6)
    down, up = np.nanquantile(bottoms, [tail, 1 - tail])
    row |= dict(zip(names, np.exp([centre, low, high, data - centre, data - high, data - low,
                                   bottom, down, up]).tolist(), strict=True))  # fmt: skip
    return row | {"status": "used"}, sizes


def _reasons(out: pd.DataFrame) -> str:
    """Return why budgets were not used, with a few of them named for each reason."""
    told = []
    for reason, part in out.groupby("status", sort=False):
        shown = ", ".join(format_scale(value, "flops") for value in part["flops"][:SHOWN])
        rest = f" and {len(part) - SHOWN} more" if len(part) > SHOWN else ""
        told.append(f"{shown}{rest} FLOPs: {reason}")
    return "; ".join(told)


def _rivals(
    budgets: Sequence[pd.DataFrame], method: str, line: float, ends: tuple[float, float],
    level: float, rng: np.random.Generator,
) -> list[Note]:  # fmt: skip
    """Return a note where another way to draw the curves differs by more than both intervals."""
    told = []
    for other in METHODS:
        if other == method:
            continue
        found = [
            _bottom(_cut(b, WINDOW[other], FEWEST[other]), other, RIVAL_RESAMPLES, level, rng)
            for b in budgets
        ]
        used = [(row, drawn) for row, drawn in found if row["status"] == "used"]
        if len(used) < FEWEST_BUDGETS:
            continue
        logs = np.log([[row["flops"], row["params"]] for row, _ in used])
        slope, slopes = power_line(
            logs[:, 0] - logs[:, 0].mean(), logs[:, 1], np.stack([d for _, d in used], axis=1)
        )
        low, high = np.quantile(slopes[:, 0], [(1 - level) / 2, (1 + level) / 2])
        if not ends[0] <= slope[0] <= ends[1] and not low <= line <= high:
            told.append(f"{other} {slope[0]:.3f} [{low:.3f}, {high:.3f}]")
    if not told:
        return []
    return [
        Note(
            "methods_disagree",
            "warning",
            "Other curves through the same points give exponents that differ by more than noise "
            f"({', '.join(told)}): the answer hangs on the shape that is assumed near the bottom. "
            "Add sizes close to the minima.",
        )
    ]


def _notes(table: pd.DataFrame, logs: np.ndarray) -> tuple[Note, ...]:
    notes = []
    out = table[table["status"] != "used"]
    if len(out):
        told = f"{len(out)} budget(s) are left out ({_reasons(out)})."
        notes.append(Note("budgets_left_out", "warning", told))
    doubtful = table[(table["status"] == "used") & (table["kept"] < 1 - UNSTABLE)]
    if len(doubtful):
        told = ", ".join(format_scale(f, "flops") for f in doubtful["flops"])
        notes.append(
            Note(
                "minimum_near_the_edge",
                "warning",
                f"At {told} FLOPs the minimum leaves the sizes in more than {UNSTABLE:.0%} of the "
                "resamples; add models beyond the edge.",
            )
        )
    if np.ptp(logs) < np.log(10):
        notes.append(
            Note(
                "short_range",
                "warning",
                f"The budgets span {np.ptp(logs) / np.log(10):.2f} decades; below one decade the "
                "exponent is hard to tell.",
            )
        )
    return tuple(notes)
