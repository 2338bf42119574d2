"""The compute-optimal frontier of a fitted law: how to spend each budget, and what it buys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalekit.errors import FitError, InputError
from scalekit.fitters.allocation import Allocation, Cost, allocate, data_scale, loss_at
from scalekit.fitters.frontier_result import Frontier
from scalekit.fitters.intervals import percentile_interval
from scalekit.notes import Note
from scalekit.results import check_level
from scalekit.units import format_quantity, format_scale

if TYPE_CHECKING:
    from scalekit.fitters.fitted import Fit

QUANTITIES = ("params", "tokens", "tokens_per_param", "loss")
FAR, TOO_FAR = 1.0, 3.0  # decades of compute beyond the data


def frontier(
    fit: Fit,
    flops: float | Sequence[float],
    *,
    params: float | None = None,
    unique_tokens: float | None = None,
    served_tokens: float = 0.0,
    overtrained: float = 1.0,
    cost: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    confidence_level: float | None = None,
) -> Frontier:
    """Return how to spend each of `flops` best under the law of `fit`, with intervals.

    The law depends on params and tokens (or samples). `params` holds the model's size fixed;
    `unique_tokens` limits the data (a law of repeated data repeats them, any other law stops
    there); `served_tokens` counts the cost of use, 2 N per token, into the budget;
    `overtrained=m` trains on m times the optimal tokens per parameter at the same budget;
    `cost(params, tokens)` replaces C = 6ND. Constrained answers come with the `loss_penalty`.

    Raises InputError where the law has no sizes to choose, FitError where it has no optimum.
    Hoffmann et al. 2022, arXiv:2203.15556, approach 3; Muennighoff et al. 2023, arXiv:2305.16264.
    """
    level = fit.confidence_level if confidence_level is None else check_level(confidence_level)
    budgets = _budgets(flops)
    price = Cost(cost, _not_negative(served_tokens, "served_tokens"))
    if overtrained <= 0 or (overtrained != 1 and (params is not None or not price.is_plain)):
        raise InputError(
            "overtrained is a positive factor, and goes with C = 6ND and a free model size only."
        )
    fixed, cap = _data_limit(fit, unique_tokens)
    theta = np.concatenate([fit.theta[None], fit.draws])
    best = allocate(fit.law, theta, budgets, price, fixed, cap)
    found = best
    if params is not None:
        found = _at_size(fit, theta, budgets, price, fixed, cap, float(params))
    elif overtrained != 1:
        found = _overtrained(fit, theta, best, fixed, overtrained, cap)
    if not np.isfinite(found.loss[0]).any():
        raise FitError(
            f"The law '{fit.law.name}' has no compute-optimal size inside any of these budgets: "
            "its loss keeps falling towards the smallest or the largest model. "
            "Is one of its exponents zero? See the fit's notes."
        )
    table = _table(fit, budgets, found, level)
    if found is not best:
        with np.errstate(all="ignore"):
            table["loss_penalty"] = found.loss[0] / best.loss[0] - 1
            spread = found.loss[1:] / best.loss[1:] - 1
        low, high = _interval(fit, spread, table["loss_penalty"].to_numpy(), level)
        table["loss_penalty_lower"], table["loss_penalty_upper"] = low, high
    exponents = pd.DataFrame() if params is not None else _exponents(
        fit, theta, budgets, price, fixed, cap, level)  # fmt: skip
    notes = (*_notes(fit, budgets, found), *_cap_notes(fit, table, cap, params is not None))
    return Frontier(
        "parametric (law " + fit.law.name + ")", table, exponents,
        _constraint(price, params, unique_tokens, overtrained), level, fit.interval_method,
        notes, fit.provenance,
    )  # fmt: skip


def _budgets(flops: float | Sequence[float]) -> np.ndarray:
    try:
        budgets = np.atleast_1d(np.asarray(flops, dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"Cannot read {flops!r} as budgets in FLOPs.") from None
    if not (np.isfinite(budgets) & (budgets > 0)).all() or budgets.ndim != 1 or not budgets.size:
        raise InputError(f"Budgets must be positive numbers of FLOPs; got {flops!r}.")
    return budgets


def _not_negative(value: float, name: str) -> float:
    if not (np.isfinite(value) and value >= 0):
        raise InputError(f"{name} must be zero or more; got {value}.")
    return float(value)


def _data_limit(fit: Fit, unique_tokens: float | None) -> tuple[dict[str, float], float]:
    if "unique_tokens" in fit.law.scales:
        # without a limit all data are fresh: as many unique tokens as anyone could use
        return {"unique_tokens": 1e30 if unique_tokens is None else float(unique_tokens)}, np.inf
    return {}, np.inf if unique_tokens is None else float(unique_tokens)


def _at_size(
    fit: Fit, theta: np.ndarray, budgets: np.ndarray, price: Cost, fixed: Mapping[str, float],
    cap: float, params: float,
) -> Allocation:  # fmt: skip
    if not (np.isfinite(params) and params > 0):
        raise InputError(f"params must be a positive number; got {params}.")
    tokens = np.minimum(price.tokens(np.full(len(budgets), params), budgets), cap)
    if np.isnan(tokens).any():
        raise InputError(
            f"A model of {format_quantity(params)} params cannot be paid for by the budget "
            f"{format_scale(float(budgets[np.isnan(tokens)][0]), 'flops')}."
        )
    log_params = np.full((1, len(budgets)), np.log(params))
    loss = loss_at(fit.law, theta, log_params, tokens[None], fixed)
    shape = loss.shape
    return Allocation(
        np.broadcast_to(log_params, shape), np.broadcast_to(np.log(tokens), shape), loss
    )


def _overtrained(
    fit: Fit, theta: np.ndarray, best: Allocation, fixed: Mapping[str, float], factor: float,
    cap: float,
) -> Allocation:  # fmt: skip
    most = float(np.exp(np.nan_to_num(best.log_tokens[0], nan=-np.inf)).max() * np.sqrt(factor))
    if most > cap * (1 + 1e-9):
        raise InputError(
            f"overtrained={factor:g} needs {format_quantity(most)} tokens, and unique_tokens says "
            f"that there are {format_quantity(cap)}. Leave one of the two out, or fit the law "
            "'repeated_data'."
        )
    log_params = best.log_params - 0.5 * np.log(factor)
    log_tokens = best.log_tokens + 0.5 * np.log(factor)
    loss = loss_at(fit.law, theta, log_params, np.exp(log_tokens), fixed)
    return Allocation(log_params, log_tokens, np.where(np.isnan(log_params), np.nan, loss))


def _table(fit: Fit, budgets: np.ndarray, found: Allocation, level: float) -> pd.DataFrame:
    columns: dict[str, np.ndarray] = {"flops": budgets}
    values = (
        found.log_params, found.log_tokens, found.log_tokens - found.log_params, np.log(found.loss)
    )  # fmt: skip
    for name, logs in zip(QUANTITIES, values, strict=True):
        low, high = _interval(fit, logs[1:], logs[0], level)
        columns |= {name: np.exp(logs[0]), f"{name}_lower": np.exp(low),
                    f"{name}_upper": np.exp(high)}  # fmt: skip
    return pd.DataFrame(columns)


def _interval(
    fit: Fit, draws: np.ndarray, centre: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    draws = draws[np.isfinite(draws).all(axis=1)]
    return percentile_interval(draws, centre, level, fit.widening(level))


def _exponents(
    fit: Fit, theta: np.ndarray, budgets: np.ndarray, price: Cost, fixed: Mapping[str, float],
    cap: float, level: float,
) -> pd.DataFrame:  # fmt: skip
    """Return d log(params) / d log(flops), and of tokens, over the range of budgets."""
    ends = np.array([budgets.min(), budgets.max()])
    if ends[1] < 2 * ends[0]:
        ends = np.sqrt(ends.prod()) * np.array([0.5, 2.0])
    found = allocate(fit.law, theta, ends, price, fixed, cap)
    width = np.log(ends[1] / ends[0])
    rows = {}
    for name, logs in (("params", found.log_params), ("tokens", found.log_tokens)):
        slope = (logs[:, 1] - logs[:, 0]) / width
        low, high = _interval(fit, slope[1:, None], slope[:1], level)
        rows[name] = {"estimate": slope[0], "ci_lower": low[0], "ci_upper": high[0]}
    return pd.DataFrame.from_dict(rows, orient="index")


def _constraint(
    price: Cost, params: float | None, unique_tokens: float | None, overtrained: float
) -> str:
    words = [price.describe()]
    if params is not None:
        words.append(f"model held at {format_quantity(params)} params")
    if unique_tokens is not None:
        words.append(f"{format_quantity(unique_tokens)} unique tokens")
    if overtrained != 1:
        words.append(f"over-trained {overtrained:g} times")
    return ", ".join(words)


def _notes(fit: Fit, budgets: np.ndarray, found: Allocation) -> list[Note]:
    data = data_scale(fit.law)
    largest = float((6 * fit.scales["params"] * fit.scales[data]).max())
    decades = float(np.log10(budgets.max() / largest))
    notes = [note for note in fit.notes if note.severity != "info"]
    if decades > FAR:
        notes.append(
            Note(
                "far_extrapolation",
                "error" if decades > TOO_FAR else "warning",
                f"The largest budget lies {decades:.1f} decades of FLOPs beyond the largest run. "
                "The intervals hold the law to be right there; run something in between.",
            )
        )
    lost = float(np.mean(~np.isfinite(found.loss[1:]).all(axis=1))) if len(found.loss) > 1 else 0.0
    if lost > 0.01:
        notes.append(
            Note(
                "no_optimum_in_resamples",
                "warning",
                f"{lost:.0%} of the resamples have no optimal size inside the budgets and are left "
                "out of the intervals: the runs hardly tell how to split compute.",
            )
        )
    return notes


def _cap_notes(fit: Fit, table: pd.DataFrame, cap: float, held: bool) -> list[Note]:
    used_up = table["tokens"] >= 0.999 * cap
    if not used_up.any():
        return []
    return [
        Note(
            "data_used_up",
            "warning",
            f"The data are used up at {int(used_up.sum())} of the budgets. The law "
            f"'{fit.law.name}' knows no repeated data, so it stops at one epoch and "
            + (
                "leaves the rest of the budget unspent, since the model's size is held"
                if held
                else "spends the rest on a larger model"
            )
            + "; fit the law 'repeated_data' to runs of several epochs to reuse them.",
        )
    ]
