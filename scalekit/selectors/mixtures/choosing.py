"""The choice: best mixture under limits, with its interval, its price and its expected regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.notes import Note
from scalekit.results import Interval
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.mixtures.counts import Counts, read_counts
from scalekit.selectors.mixtures.limits import AVAILABLE, NEGLIGIBLE, Limits, make_limits
from scalekit.selectors.mixtures.mixture_choice import PRICE_COLUMNS, MixtureChoice
from scalekit.selectors.mixtures.mixture_fit import MixtureFit
from scalekit.selectors.mixtures.objective import Aim, make_aim
from scalekit.selectors.mixtures.optimum import Optimum
from scalekit.selectors.mixtures.pilots import by_name
from scalekit.units import format_quantity, parse_quantity

BINDING = 1e-4  # shares this close to a limit touch it
MANY_EPOCHS = 4.0  # up to four epochs repeated data is nearly as good as new (2305.16264)
OVERDRAWN = 5.0  # times the natural share


def choose(
    fit: MixtureFit,
    *,
    caps: Mapping[str, float] | None = None,
    minimum: Mapping[str, float] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    available: Counts | None = None,
    budget: float | str | None = None,
    max_epochs: float | None = None,
    repeat_value: float | None = None,
    prior: Mapping[str, float] | None = None,
    kl: float = 0.0,
    at: Mapping[str, float] | None = None,
    rng: RandomState = 0,
) -> MixtureChoice:
    """Return the mixture of least predicted loss under limits.

    `caps`, `minimum` and `groups` limit shares (see `make_limits`). `available` (tokens of every
    source) with `budget` (tokens to draw) tells epochs; `max_epochs` limits them, `repeat_value`
    lets repeated data count for less (15.39 in Muennighoff et al. 2023). `prior` is the mixture
    that one would take anyway: the gain is counted against it (default: in proportion to
    `available`, else the mean pilot), and `kl` (Olmix: 0.05) pulls towards it. `at` are the
    scales of the large run, where the law has any (default: the largest of the pilots).

    For a convex law the optimum is global up to `gap`; its interval and the expected regret come
    from the draws of the law, each with its own best mixture.

    Raises ColumnNotFoundError for a name that is no source, InputError for limits that no mixture
    meets.
    """
    generator = as_generator(rng)
    tokens = None if available is None else read_counts(available, AVAILABLE, zeros=True)
    drawn_in_all = None if budget is None else parse_quantity(budget)
    counts = None if tokens is None else by_name(tokens, fit.sources, AVAILABLE)
    limits = make_limits(fit.sources, caps, minimum, groups, tokens, drawn_in_all, max_epochs)
    aim, reference, label = make_aim(fit, at, kl, repeat_value, prior, counts, drawn_in_all)
    best = aim.best(limits, generator)
    drawn = aim.best(limits, generator, draws=True)
    free = aim.without_pull().best(make_limits(fit.sources), generator)
    table = _describe(fit, limits, best, drawn, free, aim, counts, drawn_in_all)
    regret, gain, interval = _value(fit, aim, best, drawn, reference)
    return MixtureChoice(
        table=table,
        losses=_losses(fit, aim, best.shares),
        regret=regret,
        gain=gain,
        gain_interval=interval,
        baseline=label,
        prices=_prices(limits, best),
        law=fit.law.name,
        gap=best.gap,
        budget=drawn_in_all,
        notes=(*fit.notes, *_remarks(fit, table, counts, gain, interval, label)),
        provenance=replace(fit.provenance, seed=seed_of(rng)),
        at={name: float(value) for name, value in aim.scales.items()},
    )


def _describe(
    fit: MixtureFit,
    limits: Limits,
    best: Optimum,
    drawn: Optimum,
    free: Optimum,
    aim: Aim,
    counts: np.ndarray | None,
    budget: float | None,
) -> pd.DataFrame:
    shares = best.shares[0]
    tail = (1 - fit.confidence_level) / 2
    low, high = np.quantile(drawn.shares, [tail, 1 - tail], axis=0)
    halved = _halved_losses(aim, shares, limits)
    with np.errstate(divide="ignore", invalid="ignore"):
        epochs = shares * budget / counts if counts is not None and budget else np.nan
        natural = counts / counts.sum() if counts is not None else np.nan
    touching = [
        " ".join(kind for (name, kind), slack in zip(limits.labels, limits.slack(shares),
                 strict=True) if name == source and slack < BINDING
                 and not (kind == "minimum" and limits.lower[k] == 0))
        for k, source in enumerate(fit.sources)
    ]  # fmt: skip
    return pd.DataFrame({
        "source": fit.sources,
        "share": shares,
        "ci_lower": np.minimum(low, shares),
        "ci_upper": np.maximum(high, shares),
        "cap": np.where(limits.upper < 1, limits.upper, np.nan),
        "binding": touching,
        "unlimited": free.shares[0],
        "natural": natural,
        "epochs": epochs,
        "largest_tried": fit.pilots.shares.max(axis=0),
        "loss_if_halved": halved,
    })  # fmt: skip


def _halved_losses(aim: Aim, shares: np.ndarray, limits: Limits) -> np.ndarray:
    """Return how much the loss rises when a source is halved.

    The others fill the gap in proportion, as far as they do not touch a limit. NaN where all do.
    """
    tight = limits.slack(shares) < BINDING
    full = (limits.matrix[tight] > 0).any(axis=0)
    count = len(shares)
    weights = np.where(full, 0.0, shares) * (1 - np.eye(count))
    total = weights.sum(axis=1, keepdims=True)
    half = shares / 2
    with np.errstate(invalid="ignore"):
        trial = shares - np.diag(half) + half[:, None] * weights / total
    told = total[:, 0] > 0
    found = aim.losses(np.vstack([shares, np.where(told[:, None], trial, shares)]))[0]
    return np.where(told, found[1:] - found[0], np.nan)


def _value(
    fit: MixtureFit, aim: Aim, best: Optimum, drawn: Optimum, reference: np.ndarray
) -> tuple[float, float, Interval]:
    """Return the expected regret, the gain over the baseline, and the gain's interval."""
    rows = np.vstack([best.shares, reference, drawn.shares])
    losses = aim.losses(rows, draws=True)
    each = np.arange(len(losses))
    # a draw's own best is best for the pulled aim; for plain loss it may be beaten by the choice
    regret = np.maximum(losses[:, 0] - losses[each, 2 + each], 0.0)
    gains = losses[:, 1] - losses[:, 0]
    tail = (1 - fit.confidence_level) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    centre = aim.losses(rows[:2])[0]
    method = f"{len(losses)} draws of the law"
    interval = Interval(float(low), float(high), fit.confidence_level, method)
    return float(regret.mean()), float(centre[1] - centre[0]), interval


def _losses(fit: MixtureFit, aim: Aim, shares: np.ndarray) -> pd.DataFrame:
    scales = {name: float(value) for name, value in aim.scales.items()}
    mixture = pd.DataFrame(shares, columns=list(fit.sources))
    return fit.predict(mixture, **scales).drop(columns="mixture")


def _prices(limits: Limits, best: Optimum) -> pd.DataFrame:
    """Return the limits that bind, and what giving way by 0.01 of share would save.

    NaN where the limits leave a source no room, or the mixture was found without slopes.
    """
    fixed = {name for name, room in zip(limits.sources, limits.upper - limits.lower, strict=True)
             if room <= NEGLIGIBLE}  # fmt: skip
    found = best.prices[0].any()
    slack = limits.slack(best.shares[0])
    rows = []
    for (name, kind), bound, left, price in zip(
        limits.labels, limits.bound, slack, best.prices[0], strict=True
    ):
        zero = kind == "minimum" and abs(bound) < NEGLIGIBLE
        trivial = kind == "cap" and bound >= 1
        if left < BINDING and not zero and not trivial:
            saved = 0.01 * price if found and name not in fixed else np.nan
            rows.append({"limit": name, "kind": kind, "bound": round(abs(bound), 8),
                         "price": saved})  # fmt: skip
    table = pd.DataFrame(rows, columns=PRICE_COLUMNS)
    return table.sort_values("price", ascending=False, ignore_index=True)


def _remarks(
    fit: MixtureFit,
    table: pd.DataFrame,
    counts: np.ndarray | None,
    gain: float,
    interval: Interval,
    label: str,
) -> list[Note]:
    notes = []
    if counts is None:
        notes.append(Note("no_counts", "warning",
                          "Without the number of tokens of each source the choice may lean on "
                          "data that does not exist. Give available (--counts) and "
                          "budget."))  # fmt: skip
    else:
        gone = [name for name, count in zip(fit.sources, counts, strict=True) if count == 0]
        if gone:
            notes.append(Note("no_data", "warning",
                              f"There is nothing of {', '.join(map(repr, gone))} (available says "
                              "0), so that its share is zero."))  # fmt: skip
    for row in table.to_dict("records"):
        notes += _doubts_about({str(key): value for key, value in row.items()})
    if not fit.law.convex:
        notes.append(Note("not_convex", "info", f"The law '{fit.law.name}' is not convex: the best "
                     "mixture was searched for, and another may be better."))  # fmt: skip
    if interval.lower <= 0:
        notes.append(Note("gain_uncertain", "warning",
                          f"The gain over {label} ({gain:+.4f} {interval}) may be zero. Run more "
                          "pilots: next_pilot() (--next) says which."))  # fmt: skip
    return notes


def _doubts_about(row: Mapping[str, Any]) -> list[Note]:
    name, share, notes = row["source"], row["share"], []
    unlimited = not row["epochs"] <= MANY_EPOCHS  # unknown epochs (NaN) count as many
    if unlimited and share > 0.02 and share > OVERDRAWN * row["natural"]:
        seen = "" if np.isnan(row["epochs"]) else f" ({row['epochs']:.3g} epochs)"
        notes.append(Note("degenerate", "warning",
                          f"{share:.0%} of the mixture is '{name}', which has {row['natural']:.1%} "
                          f"of the data{seen}. Cap it: max_epochs, or caps."))  # fmt: skip
    elif row["epochs"] > MANY_EPOCHS:
        notes.append(Note("many_epochs", "warning",
                          f"'{name}' is seen {format_quantity(row['epochs'])} times. Beyond about "
                          "four epochs repeated data is worth less; set max_epochs or "
                          "repeat_value."))  # fmt: skip
    if share > row["largest_tried"] + 0.01:
        notes.append(Note("beyond_pilots", "warning",
                          f"'{name}' gets {share:.1%}, more than in any pilot "
                          f"({row['largest_tried']:.1%}): the law extrapolates."))  # fmt: skip
    return notes
