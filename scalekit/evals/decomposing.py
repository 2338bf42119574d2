"""The components of one benchmark, as a table: within recipes, between them, and samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from scalekit.errors import InputError
from scalekit.evals.blocks import Benchmark
from scalekit.evals.components import MeanSquares, pooled_components
from scalekit.evals.planning import NoiseModel
from scalekit.notes import Note

Array = NDArray[np.float64]
# Of the SD between items, the share that does not cancel when two recipes answer the same items;
# for logs with one recipe, where it cannot be estimated.
ASSUMED_DIFFERENCE = 0.6


def components_of(
    benchmark: Benchmark, confidence_level: float, notes: list[Note]
) -> pd.DataFrame | None:
    """Return one row per component of a benchmark, or None where there is nothing to decompose."""
    tables = [block.answers for block in benchmark.blocks.values()]
    if all(table.size == 1 for table in tables):
        notes.append(
            Note(
                "nothing-to-decompose",
                "warning",
                f"{benchmark.label}: one seed, one item and one step; left out.",
            )
        )
        return None
    squares = _squares_of(tables, benchmark, notes)
    if not all(np.isfinite(table).all() for table in tables):
        notes.append(
            Note(
                "unbalanced",
                "info",
                f"{benchmark.label}: cells are missing; components "
                "by moments, intervals approximate.",
            )
        )
    if "step" in squares.weights:
        notes.append(
            Note(
                "steps-share-a-trend",
                "info",
                f"{benchmark.label}: the step component "
                "holds the progress of training, which recipes share; the noise between "
                "checkpoints is in seed:step (or see `signal`, which detrends).",
            )
        )
    squares = _with_recipes(squares, benchmark)
    rows = [
        _row(name, squares.estimate(name), *squares.interval(name, confidence_level))
        for name in ORDER if name in squares.weights
    ]  # fmt: skip
    rows = _split_samples(rows, benchmark, confidence_level)
    table = pd.DataFrame(rows)
    table.insert(0, "metric", benchmark.metric)
    table.insert(0, "benchmark", benchmark.name)
    total = table["variance"].sum()
    table["share"] = table["variance"] / total if total else 0.0
    negative = table.loc[table["unbiased"] < 0, "component"].tolist()
    if negative:
        notes.append(
            Note(
                "negative-components",
                "info",
                f"{benchmark.label}: the estimate of "
                f"{', '.join(negative)} is below zero and shown as zero; its interval "
                "says how large it can still be.",
            )
        )
    return table


def _squares_of(tables: list[Array], benchmark: Benchmark, notes: list[Note]) -> MeanSquares:
    """Return the components within recipes; at each seed's last step where steps do not cross."""
    try:
        return pooled_components(tables)
    except InputError:
        if all(table.shape[2] == 1 for table in tables):
            raise
        message = (
            f"{benchmark.label}: seeds were logged at different steps; each one's last is used"
        )
        notes.append(Note("steps-differ", "warning", f"{message}."))
        return pooled_components([b.last(1)[:, :, None] for b in benchmark.blocks.values()])


ORDER = ("recipe", "item", "recipe:item", "seed", "seed:item", "step", "seed:step", "item:step",
         "residual", "sample")  # fmt: skip


def _row(name: str, estimate: float, lower: float, upper: float) -> dict[str, Any]:
    variance = max(estimate, 0.0)
    return {"component": name, "variance": variance, "unbiased": estimate, "ci_lower": lower,
            "ci_upper": upper, "sd": np.sqrt(variance)}  # fmt: skip


def _with_recipes(within: MeanSquares, benchmark: Benchmark) -> MeanSquares:
    """Add the components between recipes: `recipe` (signal) and `recipe:item`; split `item`.

    From the recipe by item table of means: MS_recipe:item estimates V_recipe:item plus the noise
    of a mean, the variance of recipe means V_recipe plus V_recipe:item / I plus that noise.
    """
    blocks = list(benchmark.blocks.values())
    if len(blocks) < 2:
        return within
    means = np.array([block.item_means() for block in blocks])
    means = means[:, np.isfinite(means).all(axis=0)]
    m, n_items = means.shape
    if n_items == 0:
        return within
    recipe_means = means.mean(axis=1)
    extra, df = [float(recipe_means.var(ddof=1))], [m - 1.0]
    zero = np.zeros(len(within.mean_squares))
    shapes = [block.answers.shape for block in blocks]
    noise_of_mean, noise_of_item = zero.copy(), zero.copy()
    for name, weight in within.weights.items():
        factors = _factors(name, within)
        share = np.mean([_per_mean(factors, shape) for shape in shapes])
        noise_of_item += weight * share * ("item" in factors and factors != {"item"})
        noise_of_mean += weight * share * ("item" not in factors and factors != {"step"})
    by_recipe, by_item = [1.0], []
    if n_items > 1:
        residual = means - recipe_means[:, None] - means.mean(axis=0) + means.mean()
        extra.append(float((residual**2).sum() / ((m - 1) * (n_items - 1))))
        df.append((m - 1.0) * (n_items - 1))
        by_recipe, by_item = [1.0, -1 / n_items], [0.0, 1.0]
    pad = np.zeros(len(extra))
    weights = {name: np.r_[weight, pad] for name, weight in within.weights.items()}
    weights["recipe"] = np.r_[-noise_of_mean, by_recipe]
    if by_item:
        weights["recipe:item"] = np.r_[-noise_of_item, by_item]
        if "item" in weights:
            weights["item"] = weights["item"] - weights["recipe:item"]
    return MeanSquares(np.r_[within.mean_squares, extra], np.r_[within.df, df], weights)


def _factors(name: str, within: MeanSquares) -> set[str]:
    """Return the factors of a component; the residual has all of those in the design."""
    if name != "residual":
        return set(name.split(":"))
    return {f for other in within.weights if other != "residual" for f in other.split(":")}


def _per_mean(factors: set[str], shape: tuple[int, ...]) -> float:
    """Return by how much averaging over seeds and steps (not items) divides a component."""
    seeds, _, steps = shape
    return float(1 / ((seeds if "seed" in factors else 1) * (steps if "step" in factors else 1)))


def _split_samples(
    rows: list[dict[str, Any]], benchmark: Benchmark, confidence_level: float
) -> list[dict[str, Any]]:
    """Take the noise of repeated samples out of the residual, where answers were repeated."""
    df = sum(block.sample_df for block in benchmark.blocks.values())
    if not df:
        return rows
    variance = sum(b.sample_squares for b in benchmark.blocks.values()) / df
    tail = (1 - confidence_level) / 2
    ends = [variance * df / float(special.chdtri(df, p)) for p in (tail, 1 - tail)]
    noise = variance * float(np.mean([1 / b.samples for b in benchmark.blocks.values()]))
    for k, row in enumerate(rows):
        if row["component"] == "residual":
            cut = [max(row[end] - noise, 0.0) for end in ("ci_lower", "ci_upper")]
            rows[k] = _row("residual", row["unbiased"] - noise, *cut)
    return [*rows, _row("sample", variance, *ends)]


def noise_model(variance: Mapping[str, float]) -> NoiseModel:
    """Return the noise of a difference from the components of a benchmark.

    Without a second recipe the variance of item differences is assumed to be (0.6 SD_item)^2.
    """
    get = variance.get
    if "recipe:item" in variance:
        difference = 2 * variance["recipe:item"]
    else:
        difference = ASSUMED_DIFFERENCE**2 * get("item", 0.0)
    per_item = get("seed:item", 0.0) + get("item:step", 0.0)
    return NoiseModel(
        seed=get("seed", 0.0) + get("seed:step", 0.0),
        difference=difference,
        seed_item=per_item + get("residual", 0.0),
        sample=get("sample", 0.0),
    )


def projected(
    variance: Mapping[str, float], seeds: float, items: float, steps: float, samples: float
) -> dict[str, float]:
    """Return score_se, difference_se and reliability of a design, from the components."""
    sizes = {"seed": seeds, "item": items, "step": steps}
    per: dict[str, float] = {}
    for name, value in variance.items():
        factors = {
            "residual": ["seed", "item", "step"],
            "sample": ["seed", "item", "step"],
            "recipe:item": ["item"],
            "recipe": [],
        }.get(name, name.split(":"))
        divided = value / float(np.prod([sizes[f] for f in factors]))
        per[name] = divided / samples if name == "sample" else divided
    signal = per.pop("recipe", float("nan"))
    own = sum(value for name, value in per.items() if name not in ("item", "step"))
    return {
        "score_se": float(np.sqrt(sum(per.values()))),
        "difference_se": float(np.sqrt(2 * own)),
        "reliability": signal / (signal + own) if signal + own > 0 else float("nan"),
    }
