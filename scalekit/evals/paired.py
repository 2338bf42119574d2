"""Is the difference between two recipes real? `compare_models` answers in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.evals.additions import checked_costs
from scalekit.evals.adjust import benjamini_hochberg, holm
from scalekit.evals.conventions import is_proportion
from scalekit.evals.model_comparison import ModelComparison
from scalekit.evals.pairing import Pair, average_pair, pair_up
from scalekit.evals.reading import Source, as_evals
from scalekit.evals.seed_noise import SeedSD, seed_variances
from scalekit.evals.table import Evals, require_levels
from scalekit.evals.verdicts import resolve, sentence, verdict
from scalekit.notes import Note
from scalekit.results import check_level

ADJUSTMENTS = {"holm": holm, "bh": benjamini_hochberg, "none": lambda p: np.asarray(p, float)}


def compare_models(
    source: Source,
    a: str | None = None,
    b: str | None = None,
    *,
    metric: str | None = None,
    seed_sd: SeedSD = None,
    margin: float | Mapping[str, float] | None = None,
    last: int = 1,
    adjust: str = "holm",
    costs: Mapping[str, float] | None = None,
    power: float = 0.8,
    confidence_level: float = 0.95,
) -> ModelComparison:
    """Compare recipes `a` and `b` (the two of the log where not given) on every benchmark.

    The error is crossed: items (clustered where the log has clusters), seeds and repeated samples
    together, with Satterthwaite degrees of freedom. Each seed's score is the mean of its `last`
    checkpoints. With one seed per recipe the seed noise is borrowed (`seed_sd`: None takes the
    log's other recipes, else the published table; or "log", "moderated", "published", a number,
    a mapping per benchmark, in the metric's unit) and the result says so; where there is none the
    benchmark is refused. `seed_sd=0` asks about these two checkpoints, not about the recipes.
    "moderated" also shrinks own seeds over benchmarks (worth it at two or three seeds).

    `margin` is the difference too small to matter, for verdicts of equivalence (two one-sided
    tests). The verdict follows p adjusted by `adjust` ("holm", "bh", "none") over benchmarks of a
    metric. `costs` price a seed, an item and an answer, for the cheapest addition that would
    resolve an open question with `power`. Raises InputError where nothing can be compared.

    >>> answers = np.random.default_rng(0).random((2, 3, 400)) < [[[0.5]], [[0.8]]]
    >>> compare_models({"a": answers[0], "b": answers[1]}).verdict()
    'real'
    """
    evals = as_evals(source)
    systems = _systems(evals, a, b)
    if adjust not in ADJUSTMENTS:
        raise InputError(f"No correction '{adjust}'. {did_you_mean(adjust, ADJUSTMENTS)}")
    check_level(confidence_level, above=0.5)
    if last < 1:
        raise InputError(f"last (--last) is a number of checkpoints, 1 or more; got {last}.")
    prices = checked_costs(costs)
    chosen = evals.select(metric=metric) if metric else evals
    notes = list(evals.notes)
    pairs = _pairs(chosen, systems, seed_sd, last, notes)
    refused = [pair for pair in pairs if pair.difference is None]
    if len(refused) == len(pairs):
        raise InputError(_refusal(refused))
    if refused:
        judged = {pair.benchmark for pair in pairs if pair.difference is not None}
        nothing = any(pair.benchmark not in judged for pair in refused)
        notes.append(Note("no-seed-noise", "error" if nothing else "warning", _refusal(refused)))
    rows = [_row(pair, confidence_level, margin) for pair in pairs]
    table = _with_verdicts(pd.DataFrame(rows), adjust, 1 - confidence_level)
    resolved = [
        resolve(pair, row["verdict"], prices, power, confidence_level)
        for pair, (_, row) in zip(pairs, table.iterrows(), strict=True)
    ]
    extra = pd.DataFrame(resolved, index=table.index, columns=RESOLVING)
    table = pd.concat([table, extra], axis=1)
    table["sentence"] = [
        sentence(row, systems, confidence_level, margin) for _, row in table.iterrows()
    ]
    notes += _seed_notes(pairs)
    return ModelComparison(systems, table, confidence_level, adjust, margin, tuple(notes),
                           evals.provenance)  # fmt: skip


RESOLVING = ["detectable", "needs_seeds", "needs_items", "needs_samples", "cheapest", "added_cost"]


def _systems(evals: Evals, a: str | None, b: str | None) -> tuple[str, str]:
    recipes = sorted(evals.frame["recipe"].unique())
    if a is None or b is None:
        if len(recipes) != 2 or (a is None) != (b is None):
            raise InputError(
                f"Name the two recipes to compare. There are: {', '.join(recipes[:20])}."
            )
        a, b = recipes
    require_levels(evals.frame, "recipe", [a, b])
    if a == b:
        raise InputError(f"'{a}' is compared with itself. Name two recipes.")
    return a, b


def _pairs(
    evals: Evals, systems: tuple[str, str], seed_sd: SeedSD, last: int, notes: list[Note]
) -> list[Pair]:
    both = [m for m in evals.benchmarks() if all(s in m.blocks for s in systems)]
    only_one = [m.label for m in evals.benchmarks() if sum(s in m.blocks for s in systems) == 1]
    if not both:
        raise InputError(f"'{systems[0]}' and '{systems[1]}' have no benchmark in common.")
    if only_one:
        notes.append(
            Note(
                "not-in-common",
                "warning",
                f"Only one of the two recipes has {', '.join(only_one[:5])}; left out.",
            )
        )
    seeds = seed_variances(both, systems, seed_sd, last)
    pairs = [pair_up(m, systems, seeds[m.label], last, notes) for m in both]
    for metric in dict.fromkeys(pair.metric for pair in pairs):
        same = [p for p in pairs if p.metric == metric and p.difference is not None]
        if len(same) > 1:
            if len({p.direction for p in same}) > 1:
                notes.append(
                    Note(
                        "mixed-directions",
                        "warning",
                        f"'{metric}' is better higher on "
                        "some benchmarks and lower on others; no average.",
                    )
                )
                continue
            pairs.append(average_pair(same))
            without = [p.benchmark for p in pairs if p.metric == metric and p.difference is None]
            if without:
                notes.append(
                    Note(
                        "partial-average",
                        "warning",
                        f"The average of {metric} leaves "
                        f"out {', '.join(without[:5])}, whose seed noise is unknown.",
                    )
                )
    return pairs


def _refusal(refused: list[Pair]) -> str:
    names = ", ".join(f"{pair.benchmark} ({pair.metric})" for pair in refused[:6])
    return (
        f"No seed noise is known for {names}: one seed per recipe, no other recipe of the log has "
        "two, and the published table does not list it. A paired item test alone would call a "
        "third of equal recipes different. Train a second seed, or state the seed SD "
        "(--seed-sd 0.005 is half a point, --seed-sd 0 asks about these two checkpoints only; in "
        "Python seed_sd=0.005)."
    )


def _row(
    pair: Pair, confidence_level: float, margin: float | Mapping[str, float] | None
) -> dict[str, Any]:
    head = {
        "benchmark": pair.benchmark, "metric": pair.metric, "direction": pair.direction,
        "score_a": pair.scores[0], "score_b": pair.scores[1],
        "difference": pair.scores[0] - pair.scores[1], "seeds_a": pair.seeds[0],
        "seeds_b": pair.seeds[1], "items": pair.items, "seed_source": pair.seed_source,
    }  # fmt: skip
    d = pair.difference
    if d is None:
        return head
    half = d.half_width(confidence_level)
    limit = margin.get(pair.benchmark) if isinstance(margin, Mapping) else margin
    if limit is not None and not limit > 0:
        raise InputError(f"The margin of {pair.benchmark} must be positive; got {limit}.")
    if limit is not None and is_proportion(pair.metric) and limit > 0.5:
        raise InputError(
            f"A margin of {limit:g} for {pair.benchmark} ({pair.metric}) is more than half of the "
            "scale: scores are in fractions of 1, so a point is 0.01."
        )
    return head | {
        "standard_error": d.standard_error, "df": d.df, "ci_lower": d.estimate - half,
        "ci_upper": d.estimate + half, "p": d.p_value(),
        "p_equivalent": d.p_equivalence(limit) if limit is not None else np.nan,
        "variance_items": d.item - min(d.interaction, d.item), "variance_seeds": d.seed,
    }  # fmt: skip


def _with_verdicts(table: pd.DataFrame, adjust: str, level: float) -> pd.DataFrame:
    """Add the adjusted p-values, over benchmarks of one metric, and the verdicts."""
    own = table["benchmark"] != AVERAGE
    for name in ("holm", "bh"):
        adjusted = table["p"].copy()
        for metric in table["metric"].unique():
            rows = own & (table["metric"] == metric)
            adjusted[rows] = ADJUSTMENTS[name](table.loc[rows, "p"].to_numpy())
        table[f"p_{name}"] = adjusted
    table["p_decisive"] = table["p"] if adjust == "none" else table[f"p_{adjust}"]
    table["verdict"] = [
        verdict(p, e, level)
        for p, e in zip(table["p_decisive"], table["p_equivalent"], strict=True)
    ]
    ahead = table["difference"] * table["direction"] > 0
    table["better"] = np.where(table["verdict"] == "real", np.where(ahead, "a", "b"), "")
    return table


AVERAGE = "(average)"


def _seed_notes(pairs: list[Pair]) -> list[Note]:
    notes = []
    for source in dict.fromkeys(pair.seed_source for pair in pairs if pair.difference is not None):
        if source.startswith("own seeds") or source == "as its benchmarks":
            continue
        names = [f"{p.benchmark} ({p.metric})" for p in pairs if p.seed_source == source][:6]
        notes.append(
            Note(
                "seed-noise-borrowed",
                "warning",
                f"{', '.join(names)}: the noise between seeds is not estimated from the two "
                f"recipes' own seeds but taken from: {source}. The verdict is as good as that "
                "number is for these runs.",
            )
        )
    if any(p.seed_source.startswith("stated seed SD 0") and p.difference is not None
           and p.difference.seed == 0 for p in pairs):  # fmt: skip
        notes.append(
            Note(
                "checkpoints-only",
                "warning",
                "With a seed SD of 0 the verdict is about "
                "these checkpoints, not about the recipes: retraining may undo it.",
            )
        )
    return notes
