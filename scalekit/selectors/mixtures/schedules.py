"""Sampling schedules: temperature, alpha, UniMax, Cooldown, or any phases of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.selectors.mixtures.counts import Counts, read_counts
from scalekit.selectors.mixtures.pilots import TOLERANCE, by_name
from scalekit.selectors.mixtures.schedule import Phase, Schedule
from scalekit.units import format_quantity, parse_quantity

DENSE_PHASES = 20


def temperature_shares(counts: np.ndarray, tau: float) -> np.ndarray:
    """Return `counts**(1/tau)` as shares: tau 1 is proportional, infinite is uniform.

    >>> temperature_shares(np.array([2733, 162, 39, 1.0]), 5).round(4).tolist()
    [0.4543, 0.2582, 0.1942, 0.0933]
    """
    if not tau > 0:
        raise InputError(f"The temperature is {tau:g}; it must be positive (1 is proportional).")
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(counts, float) / np.max(counts)) / tau
    powers = np.exp(logs)
    return np.asarray(powers / powers.sum())


def temperature(
    counts: Counts,
    tau: float | None = None,
    *,
    alpha: float | None = None,
    budget: float | str | None = None,
) -> Schedule:
    """Return temperature sampling: shares in proportion to `counts**(1/tau)`, all the way.

    XLM-R and mT5 write alpha = 1/tau (0.3 is tau 3.33): give one of the two. `budget` is how
    much is drawn in all (default: as much as there is). Raises InputError for both or neither.

    >>> round(temperature({"en": 2733, "it": 162, "zh": 39, "sw": 1}, alpha=0.3).shares["sw"], 4)
    0.0517
    """
    if (tau is None) == (alpha is None):
        raise InputError("Give tau or alpha (= 1/tau), one of the two.")
    if alpha is not None:
        if alpha < 0:
            raise InputError(f"alpha is {alpha:g}; it is 0 (uniform) to 1 (proportional).")
        tau = 1 / alpha if alpha > 0 else np.inf
    known = read_counts(counts)
    assert tau is not None
    shares = temperature_shares(np.array(list(known.values())), tau)
    return _schedule(f"temperature {tau:.4g}", known, [Phase(1.0, shares)], budget)


def unimax_amounts(counts: np.ndarray, budget: float, max_epochs: float) -> np.ndarray:
    """Return how much UniMax draws of each source (Chung et al. 2023, algorithm 1).

    Uniform, but no source more than `max_epochs` times; what small sources cannot take goes to
    the larger ones. The sum is min(budget, max_epochs * sum(counts)).

    >>> unimax_amounts(np.array([2733, 162, 39, 1.0]), 1000, 1).tolist()
    [798.0, 162.0, 39.0, 1.0]
    """
    left, amounts = float(budget), np.zeros(len(counts))
    for place, k in enumerate(np.argsort(counts, kind="stable")):
        amounts[k] = min(left / (len(counts) - place), counts[k] * max_epochs)
        left -= amounts[k]
    return amounts


def unimax(counts: Counts, budget: float | str, max_epochs: float = 1.0) -> Schedule:
    """Return UniMax sampling: as uniform as `max_epochs` of each source allow.

    A budget larger than `max_epochs` of everything is left unused in part; the note says how
    much. Raises InputError where the budget or the epochs are not positive.
    """
    known, drawn = read_counts(counts), _check_budget(budget)
    if not max_epochs > 0:
        raise InputError(f"max_epochs is {max_epochs:g}; it must be positive.")
    amounts = unimax_amounts(np.array(list(known.values())), drawn, max_epochs)
    notes = []
    unused = drawn - amounts.sum()
    if unused > 1e-9 * drawn:
        notes.append(Note("budget_unused", "warning",
                          f"{max_epochs:g} epoch(s) of all sources are "
                          f"{format_quantity(amounts.sum())}: {format_quantity(unused)} of the "
                          f"budget of {format_quantity(drawn)} stay unused. Allow more "
                          "epochs."))  # fmt: skip
    phases = [Phase(1.0, amounts / amounts.sum())]
    return _schedule(f"UniMax, {max_epochs:g} epoch(s)", known, phases, amounts.sum(), notes)


def cooldown(
    counts: Counts,
    start: float = 5.0,
    end: float = 1.0,
    *,
    switch: float = 0.5,
    dense: bool = False,
    budget: float | str | None = None,
    mixture: Mapping[str, float] | None = None,
) -> Schedule:
    """Return Cooldown: temperature `start` up to `switch` (a fraction of training), then `end`.

    Li et al. 2025 (arXiv:2410.04579) use 5, then 1 at half way. `dense` lowers the temperature in
    twenty steps from `start` to `end` instead, which they found worse: it is here to compare.
    With `mixture` (a chosen mixture, by name) the temperature acts on its shares instead of the
    counts, so that `end=1` ends in it; counts then only tell epochs.
    Raises InputError for a temperature that is not positive or a switch outside (0, 1).

    >>> round(cooldown({"en": 1e9, "sw": 1e6}, start=3.3, end=1.0).at(0.9)["sw"], 6)
    0.000999
    """
    if not 0 < switch < 1:
        raise InputError(f"switch is {switch:g}; it is a fraction of training between 0 and 1.")
    notes: list[Note] = []
    if mixture is None:
        known = read_counts(counts)
        base = np.array(list(known.values()))
    else:
        known, base, notes = _match(read_counts(counts, zeros=True), mixture)
    if start < end:
        notes.append(Note("warming", "warning",
                          f"The temperature rises from {start:g} to {end:g}: small sources come "
                          "late. Li et al. 2025 found this worse than the other way "
                          "round."))  # fmt: skip
    if dense:
        ends = np.linspace(0, 1, DENSE_PHASES + 1)[1:]
        levels = np.linspace(start, end, DENSE_PHASES)
    else:
        ends, levels = np.array([switch, 1.0]), np.array([start, end])
    phases = [Phase(float(stop), temperature_shares(base, tau))
              for stop, tau in zip(ends, levels, strict=True)]  # fmt: skip
    kind = "dense cooldown" if dense else "Cooldown"
    return _schedule(f"{kind} {start:g} to {end:g}", known, phases, budget, notes)


def _match(
    counts: Mapping[str, float], mixture: Mapping[str, float]
) -> tuple[dict[str, float], np.ndarray, list[Note]]:
    """Return counts and shares of the sources that a mixture draws from, and what was left out."""
    notes, idle = [], {name for name, share in mixture.items() if share == 0}
    # a choice gives no share to what there is nothing of: such a source needs no count
    empty = [name for name, count in counts.items() if count == 0 and name in idle]
    known = {name: count for name, count in counts.items() if name not in empty}
    for name, count in known.items():
        if count == 0:
            raise InputError(f"counts: '{name}' has 0, but the mixture draws from it. Choose a "
                             "mixture with these counts, or correct the count.")  # fmt: skip
    if empty:
        notes.append(Note("no_data", "info", f"There is nothing of {', '.join(map(repr, empty))}, "
                          "and the mixture draws nothing of it: left out."))  # fmt: skip
    drawn_from = {n: s for n, s in mixture.items() if n in known or n not in idle}
    base = by_name(drawn_from, list(known), "mixture")
    if not (base >= 0).all() or abs(base.sum() - 1) > TOLERANCE:
        raise InputError(
            f"mixture: the shares sum to {base.sum():.4g} (least {base.min():g}); they must be "
            "zero or more and sum to 1. Divide them by their sum if they are weights."
        )
    return known, base, notes


def phases(
    counts: Counts,
    parts: Sequence[tuple[float, Mapping[str, float]]],
    budget: float | str | None = None,
) -> Schedule:
    """Return a schedule of one's own: `parts` are (end as a fraction of training, shares by name).

    >>> own = phases({"web": 1e9, "math": 1e7}, [(0.8, {"web": 1, "math": 0}),
    ...                                          (1.0, {"web": 0.7, "math": 0.3})])
    >>> round(own.mean_shares["math"], 3)
    0.06
    """
    known = read_counts(counts)
    ends = [float(end) for end, _ in parts]
    if not ends or sorted(set(ends)) != ends or ends[0] <= 0 or abs(ends[-1] - 1) > 1e-9:
        raise InputError(
            f"Phases must end at rising fractions of training, the last at 1; got {ends}."
        )
    made = []
    for end, shares in parts:
        found = by_name(shares, list(known), f"the phase that ends at {end:g}")
        if (found < 0).any() or abs(found.sum() - 1) > 0.01:
            raise InputError(
                f"The shares of the phase that ends at {end:g} sum to {found.sum():.4g}; they must "
                "be zero or more and sum to 1."
            )
        made.append(Phase(end, found / found.sum()))
    return _schedule("own phases", known, made, budget)


def _check_budget(budget: float | str) -> float:
    drawn = parse_quantity(budget)
    if not (np.isfinite(drawn) and drawn > 0):
        raise InputError(f"The budget is {drawn:g}; it must be a positive number.")
    return drawn


def _schedule(
    name: str,
    counts: Mapping[str, float],
    parts: Sequence[Phase],
    budget: float | str | None,
    notes: Sequence[Note] = (),
) -> Schedule:
    total = sum(counts.values()) if budget is None else _check_budget(budget)
    made = Schedule(name, tuple(counts), np.array(list(counts.values())), tuple(parts), total,
                    tuple(notes), Provenance("counts", n_rows=len(counts)))  # fmt: skip
    return made.with_epoch_notes()
