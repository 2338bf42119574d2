"""Which runs to buy next: those that tell most about the question per FLOP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from scalekit.columns import SCALES, as_numbers
from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.fitters.comparison import Comparison
from scalekit.fitters.curve import Curve
from scalekit.fitters.fitted import Fit
from scalekit.fitters.plan import SETTLED, Plan
from scalekit.fitters.questions import Question, ask
from scalekit.notes import Note
from scalekit.tables import RunTable
from scalekit.units import format_scale

MOST_SURE = 0.999  # the probability that a finite number of draws can say
SMALLEST_GAIN = 1e-3  # of the variance: a run that removes less is not worth naming


def next_runs(
    result: Fit | Comparison,
    candidates: RunTable | pd.DataFrame | Mapping[str, Any],
    budget: float = np.inf,
    question: str | None = None,
    *,
    at: float | Mapping[str, float] | None = None,
    noise: float | None = None,
    most: int = 5,
) -> Plan:
    """Choose which of `candidates` to run next: those that tell most about a question per FLOP.

    `candidates` has one row a possible run, with the law's scales; for a comparison also the
    column that names the system (without one, each row is offered to every system); `cost` or
    `flops` gives its cost (else 6ND). At most `most` runs and `budget` FLOPs are chosen, and no
    more than settle a verdict.

    `question` for a comparison: "verdict" (default: the difference in log loss of the best two
    systems at scale `at`) or "crossover" (its log scale). For a fit: "loss" (default: log loss at
    the scales `at`, or ten times the largest run), a parameter's name, "optimum" (log of the best
    params at `at` FLOPs) or "parameters" (all of them: D-optimal).

    The joint draws stand for what is not known. A run is expected to shrink the variance of the
    answer q by cov(q, y)^2 / (var(y) + noise^2), with y its log loss in the draws and `noise` the
    scatter of single runs (default: the fit's): Bayesian linear design (Chaloner & Verdinelli
    1995). Each choice is conditional on those before; a row
    is chosen once (offer it twice to allow a repeat).

    Raises InputError where candidates lack a scale or none can be paid for.
    """
    frame = candidates.frame if isinstance(candidates, RunTable) else pd.DataFrame(candidates)
    if most < 1 or not budget > 0:
        raise InputError(f"next_runs: most ({most}) is 1 or more, budget ({budget}) positive.")
    frame = _offered(result, _with_numbers(frame.reset_index(drop=True)))
    cost = _costs(result, frame)
    asked = ask(result, question, at)
    outcomes, scatter = _outcomes(result, frame, noise)
    good = np.isfinite(outcomes).all(axis=1) & np.isfinite(asked.draws).all(axis=1)
    if good.sum() < 20:
        raise InputError(
            "next_runs needs the draws of a bootstrap, and there are "
            f"{int(good.sum())} usable ones. Fit with --resamples 1000 (in Python resamples=1000)."
        )
    affordable = cost <= budget
    if not affordable.any():
        raise InputError(
            f"None of the {len(frame)} candidates costs at most {format_scale(budget, 'flops')} "
            f"FLOPs; the cheapest costs {format_scale(float(cost.min()), 'flops')}."
        )
    joint = np.cov(np.concatenate([asked.draws[good], outcomes[good]], axis=1).T)
    alone = _gain(joint, asked.size, scatter)
    before = _deviation(np.cov(asked.draws[good].T).reshape(asked.size, asked.size))
    plans = _greedy(joint, asked.size, scatter, cost, budget, most)
    order, left = _choose_plan(plans, asked, before, cost)
    table = frame.iloc[order].reset_index(drop=True)
    table["cost"], table["spent"] = cost[order], np.cumsum(cost[order])
    table["expected_deviation"] = left
    if asked.probability is not None:
        table["expected_probability"] = [
            _expected_probability(asked.probability, before, after) for after in left
        ]
    ranking = frame.assign(cost=cost, variance_removed=alone, per_flop=alone / cost)
    return Plan(
        asked.words, asked.unit, table,
        ranking.sort_values("per_flop", ascending=False).reset_index(drop=True),
        asked.estimate, before, float(budget), result.confidence_level,
        tuple(_notes(asked, table, before)), result.provenance,
    )  # fmt: skip


def _with_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates with scales and costs as numbers: "7B" is 7e9."""
    named = [name for name in (*SCALES, "step", "cost") if name in frame]
    return frame.assign(**{name: as_numbers(frame[name], name, "the candidates") for name in named})


def _offered(result: Fit | Comparison, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates with a column `system`, each offered to every system without one."""
    if isinstance(result, Fit):
        return frame
    names = set(result.systems)
    alike = [name for name in frame if set(frame[name].astype(str)) <= names]
    for name in (result.by, "system", "group", *alike):
        if name in frame:
            unknown = set(frame[name].astype(str)) - names
            if unknown:
                raise InputError(
                    f"The candidates name the system '{sorted(unknown)[0]}', which was not "
                    f"compared. There are: {', '.join(result.systems)}."
                )
            moved = frame.rename(columns={name: "system"})
            return moved.assign(system=moved["system"].astype(str))
    parts = [frame.assign(system=name) for name in result.systems]
    return pd.concat(parts).reset_index(drop=True)


def _scales(result: Fit | Comparison) -> tuple[str, ...]:
    fit = result if isinstance(result, Fit) else next(iter(result.fits.values()))
    return fit.law.scales


def _costs(result: Fit | Comparison, frame: pd.DataFrame) -> np.ndarray:
    """Return the cost of each candidate in FLOPs; raise where it cannot be told."""
    if not len(frame):
        raise InputError("There are no candidates.")
    for name in _scales(result):
        if name not in frame:
            raise ColumnNotFoundError(
                f"The candidates have no column '{name}', which the law depends on. "
                f"{did_you_mean(name, map(str, frame.columns))} Rename it, or name it: --columns "
                f"{name}=COLUMN."
            )
    for name in ("cost", "flops"):
        if name in frame:
            cost = frame[name].to_numpy(float)
            break
    else:
        if not {"params", "tokens"} <= set(frame):
            raise ColumnNotFoundError(
                "What the candidates cost is unknown: give a column 'cost' or 'flops' (FLOPs), or "
                "both 'params' and 'tokens'."
            )
        cost = 6 * frame["params"].to_numpy(float) * frame["tokens"].to_numpy(float)
    if not (np.isfinite(cost) & (cost > 0)).all():
        raise InputError("Costs of candidates must be positive numbers of FLOPs.")
    return cost


def _outcomes(
    result: Fit | Comparison, frame: pd.DataFrame, noise: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the log loss of every candidate in every draw, and its noise."""
    if isinstance(result, Fit):
        curves = {"": Curve(result, result.law.scales[0])} if len(result.law.scales) == 1 else (
            {"": Curve(result, "flops")})  # fmt: skip
        names = [""] * len(frame)
    else:
        curves, names = result.curves, list(frame["system"])
    columns, scatter = [], []
    for name, row in zip(names, frame.to_dict("records"), strict=True):
        curve = curves[name]
        scales = {scale: float(row[scale]) for scale in curve.fit.law.scales}
        place = scales.get(curve.along, 6 * scales.get("params", 0.0) * scales.get("tokens", 0.0))
        columns.append(curve.run_draws(scales, max(place, 1e-300)))
        scatter.append(curve.noise if noise is None else noise)
    return np.stack(columns, axis=1), np.maximum(np.array(scatter), 1e-6)


Chosen = tuple[list[int], list[float]]  # candidates in order, the deviation left after each


def _greedy(
    joint: np.ndarray, count: int, noise: np.ndarray, cost: np.ndarray, budget: float, most: int
) -> list[Chosen]:
    """Return two plans: greedily by the gain per FLOP, and by the gain alone; a run comes once.

    For gains that shrink as runs add up the better of the two is never far from the best choice
    under a budget (Khuller, Moss & Naor 1999), while the gain per FLOP alone may buy crumbs.
    """
    return [_greedy_by(joint, count, noise, cost, budget, most, power) for power in (1.0, 0.0)]


def _choose_plan(plans: list[Chosen], asked: Question, before: float, cost: np.ndarray) -> Chosen:
    """Return the plan that leaves least; of those that settle a verdict the cheapest, cut there."""
    cut = []
    for order, left in plans:
        settles = len(left) if asked.probability is None or asked.probability >= SETTLED else next(
            (k for k, after in enumerate(left)
             if _expected_probability(asked.probability, before, after) >= SETTLED), len(left),
        )  # fmt: skip
        done = settles < len(left)
        kept = order[: settles + 1], left[: settles + 1]
        price = float(cost[kept[0]].sum()) if done else 0.0
        cut.append(((not done, price, kept[1][-1] if left else np.inf), kept))
    return min(cut, key=lambda pair: pair[0])[1]


def _greedy_by(
    joint: np.ndarray, count: int, noise: np.ndarray, cost: np.ndarray, budget: float, most: int,
    power: float,
) -> Chosen:  # fmt: skip
    """All quantities are jointly normal with covariance `joint`; seeing a run conditions on it."""
    order: list[int] = []
    left: list[float] = []
    spent = 0.0
    for _ in range(most):
        gain = _gain(joint, count, noise)
        possible = cost <= (budget - spent) * (1 + 1e-12)
        possible[order] = False
        worth = np.where(possible & (gain > SMALLEST_GAIN), gain / cost**power, -np.inf)
        k = int(worth.argmax())
        if not np.isfinite(worth[k]):
            break
        column = joint[:, count + k]
        joint = joint - np.outer(column, column) / (column[count + k] + noise[k] ** 2)
        spent += cost[k]
        order.append(k)
        left.append(_deviation(joint[:count, :count]))
    return order, left


def _gain(joint: np.ndarray, count: int, noise: np.ndarray) -> np.ndarray:
    """Return the share of the (generalised) variance of the answer that each candidate removes."""
    inside = joint[:count, :count]
    across = joint[:count, count:]
    seen = np.diag(joint)[count:] + noise**2
    # matrix determinant lemma: 1 - c' inv(S) c / (var + noise^2)
    solved = np.linalg.pinv(inside, hermitian=True) @ across
    return np.asarray(np.clip((across * solved).sum(axis=0) / seen, 0.0, 1.0))


def _deviation(covariance: np.ndarray) -> float:
    """Return the standard deviation, for several answers the geometric mean along the axes."""
    size = len(covariance)
    if size == 1:
        return float(np.sqrt(max(covariance[0, 0], 0.0)))
    _, log_volume = np.linalg.slogdet(covariance)
    return float(np.exp(0.5 * log_volume / size))


def _expected_probability(now: float, before: float, after: float) -> float:
    """Return the expected probability of the side that leads once the runs are in.

    The estimate lies as far from zero as `now`, the probability in the draws, says of a normal
    distribution; it will move by a normal deviation of sqrt(before^2 - after^2).
    """
    estimate = before * ndtri(min(max(now, 1 - MOST_SURE), MOST_SURE))
    moves = np.sqrt(max(before**2 - after**2, 0.0))
    places = estimate + moves * ndtri((np.arange(400) + 0.5) / 400)
    if after <= 0:
        return 1.0
    return float(ndtr(np.abs(places) / after).mean())


def _notes(asked: Question, table: pd.DataFrame, before: float) -> list[Note]:
    notes = list(asked.notes)
    sure = asked.probability or 0.0
    if sure >= SETTLED:
        notes.append(
            Note("already_settled", "info", f"The verdict is settled already (probability "
                 f"{sure:.2f}); these runs would only narrow the difference.")
        )  # fmt: skip
    if len(table) and table["expected_deviation"].iloc[-1] > 0.7 * before:
        notes.append(
            Note(
                "little_to_gain",
                "warning",
                "The chosen runs remove less than half of the variance of the answer; offer "
                "candidates closer to the scale that is asked about, or a larger budget.",
            )
        )
    return notes
