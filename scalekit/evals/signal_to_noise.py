"""Which benchmark, metric and framing can tell recipes apart: `signal`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.evals.blocks import Benchmark, Block
from scalekit.evals.conventions import framing
from scalekit.evals.decisions import decision_accuracy, implied_decision_accuracy
from scalekit.evals.monotonicity import monotonicity
from scalekit.evals.reading import Source, as_evals
from scalekit.evals.signal_report import SignalReport
from scalekit.evals.step_noise import step_noise
from scalekit.notes import Note
from scalekit.results import check_level

if TYPE_CHECKING:
    pass

NOISES = ("seed", "step", "item")
DEFAULT_LAST = {"seed": 1, "step": 10, "item": 1}  # checkpoints that make up a run's score


def signal(
    source: Source,
    *,
    noise: str | None = None,
    last: int | None = None,
    reference: Mapping[str, float] | None = None,
    confidence_level: float = 0.95,
) -> SignalReport:
    """Return signal-to-noise, reliability and decision accuracy of every benchmark and metric.

    SNR^2 = V_recipe / V_noise, both of a run's score; V_recipe is the variance of recipe means
    less the noise in them, so it neither grows with the number of recipes (as a range does) nor
    counts chance (as mean over SD does). `noise` is "seed" (between seeds), "step" (between the
    `last` checkpoints of a run, detrended) or "item" (other items); None takes the first that the
    log shows. A run's score is the mean of its `last` checkpoints: by default the last one, and 10
    where the noise is that of steps. With several scales in the log each
    scale is rated, and its ordering of recipes compared with that of the largest scale;
    `reference` (recipe -> quality, higher is better) gives the ordering otherwise.

    Raises InputError where no benchmark has two recipes, or the noise asked for is not in the log.
    """
    check_level(confidence_level)
    evals = as_evals(source)
    if noise is not None and noise not in NOISES:
        raise InputError(f"No noise '{noise}'. {did_you_mean(noise, NOISES)}")
    if last is not None and last < 1:
        raise InputError(f"last (--last) is a number of checkpoints, 1 or more; got {last}.")
    if last is not None and last < 4 and noise == "step":
        raise InputError(f"Step noise needs last=4 or more checkpoints; got {last}.")
    notes = list(evals.notes)
    families = _families(evals.frame)
    recipes = sorted({families.get(name, name) for name in evals.frame["recipe"].unique()})
    for name in reference or ():
        if name not in recipes:
            raise ColumnNotFoundError(
                f"reference names the recipe '{name}', which the log has not. "
                f"{did_you_mean(name, recipes)}"
            )
    rows: list[dict[str, Any]] = []
    for benchmark in evals.benchmarks():
        for scale, blocks in _by_scale(benchmark).items():
            row = _row(benchmark, blocks, scale, noise, last, confidence_level, notes)
            if row is not None:
                used = last or DEFAULT_LAST[row["noise"]]
                proxy, target = _orderings(benchmark, blocks, families, reference, used)
                row["decision_accuracy"] = (
                    decision_accuracy(proxy, target) if len(proxy) > 1 else np.nan
                )
                rows.append(row)
    if not rows:
        raise InputError(
            "Signal needs two recipes or more on a benchmark, and noise: two seeds, four "
            "checkpoints or two items." + (f" The log shows no {noise} noise." if noise else "")
        )
    table = pd.DataFrame(rows)
    ranked = table["snr"].fillna(-1.0)
    groups = [table["task"], table["scale"].fillna(-1.0)]
    table["best"] = ranked.groupby(groups).transform("max").eq(ranked) & (ranked >= 0)
    table = table.sort_values(["task", "scale", "snr"], ascending=[True, True, False])
    return SignalReport(
        table.reset_index(drop=True), confidence_level, tuple(notes), evals.provenance
    )


def _families(frame: pd.DataFrame) -> dict[str, str]:
    if "family" not in frame:
        return {}
    pairs = frame[["recipe", "family"]].drop_duplicates()
    return dict(zip(pairs["recipe"], pairs["family"], strict=True))


def _by_scale(benchmark: Benchmark) -> dict[float, list[Block]]:
    """Return the blocks of each scale; one group, of scale NaN, where scales are not shared."""
    groups: dict[float, list[Block]] = {}
    for block in benchmark.blocks.values():
        groups.setdefault(block.scale, []).append(block)
    if all(len(blocks) < 2 for blocks in groups.values()) or np.isnan(list(groups)).any():
        return {float("nan"): list(benchmark.blocks.values())}
    return dict(sorted(groups.items()))


def _orderings(
    benchmark: Benchmark,
    blocks: list[Block],
    families: dict[str, str],
    reference: Mapping[str, float] | None,
    last: int,
) -> tuple[list[float], list[float]]:
    """Return the scores of the recipes here, and the qualities they should be ordered by."""
    here = {families.get(b.recipe, b.recipe): benchmark.direction * _score(b, last) for b in blocks}
    if reference is not None:
        wanted = dict(reference)
    else:
        by_scale = _by_scale(benchmark)
        largest = by_scale[max(by_scale)] if len(by_scale) > 1 else []
        wanted = {
            families.get(b.recipe, b.recipe): benchmark.direction * _score(b, last)
            for b in largest if b not in blocks
        }  # fmt: skip
    common = [name for name in here if name in wanted]
    return [here[name] for name in common], [wanted[name] for name in common]


def _score(block: Block, last: int) -> float:
    scores = block.seed_scores()
    return float(np.mean([s[np.isfinite(s)][-last:].mean() for s in scores]))


def _row(
    benchmark: Benchmark,
    blocks: list[Block],
    scale: float,
    wanted: str | None,
    last: int | None,
    level: float,
    notes: list[Note],
) -> dict[str, Any] | None:
    traces = [[s[np.isfinite(s)] for s in block.seed_scores()] for block in blocks]
    noises: dict[str, Callable[[int], Noise]] = {
        "seed": lambda n: _seed_noise(_ends(traces, n)),
        "step": lambda n: _step_noise(traces, n),
        "item": lambda n: _item_noise(blocks, n),
    }
    found = {
        name: noises[name](last or DEFAULT_LAST[name]) for name in ([wanted] if wanted else NOISES)
    }
    kind = next((name for name, value in found.items() if value is not None), None)
    chosen = found[kind] if kind else None
    if kind is None or chosen is None or len(blocks) < 2:
        notes.append(
            Note(
                "no-signal",
                "info",
                f"{benchmark.label}: "
                f"{'one recipe' if len(blocks) < 2 else 'no such noise in the log'}; "
                "left out.",
            )
        )
        return None
    variance, df, averaged = chosen
    used = last or DEFAULT_LAST[kind]
    ends = _ends(traces, used)
    means = np.array([end.mean() for end in ends])
    between = float(means.var(ddof=1))
    snr, lower, upper = _ratio(between, len(means) - 1, variance, df, averaged, level)
    reliability = snr**2 / (1 + snr**2) if np.isfinite(snr) else 1.0
    task, form = framing(benchmark.name)
    return {
        "task": task, "framing": form, "benchmark": benchmark.name, "metric": benchmark.metric,
        "scale": scale, "recipes": len(blocks), "mean": float(means.mean()),
        "signal_sd": float(np.sqrt(max(between - variance / averaged, 0.0))),
        "noise_sd": float(np.sqrt(variance)), "noise": kind, "snr": snr, "ci_lower": lower,
        "ci_upper": upper, "reliability": reliability,
        "implied_accuracy": float(implied_decision_accuracy(reliability)),
        **_as_published(benchmark, traces, ends, last or 10), **_trend(benchmark, traces),
    }  # fmt: skip


Noise = tuple[float, float, float] | None  # variance of one score, its df, scores averaged


def _ends(traces: list[list[NDArray[np.float64]]], last: int) -> list[NDArray[np.float64]]:
    """Return, per recipe, each seed's score: the mean of its last checkpoints."""
    return [np.array([trace[-last:].mean() for trace in seeds]) for seeds in traces]


def _seed_noise(ends: list[NDArray[np.float64]]) -> Noise:
    many = [end for end in ends if len(end) > 1]
    df = sum(len(end) - 1 for end in many)
    if not df:
        return None
    variance = sum(float(((end - end.mean()) ** 2).sum()) for end in many) / df
    return variance, df, float(len(ends) / sum(1 / len(end) for end in ends))


def _step_noise(traces: list[list[NDArray[np.float64]]], last: int) -> Noise:
    runs = [trace[-last:] for seeds in traces for trace in seeds if len(trace) >= 4]
    if not runs or last < 4:
        return None
    found = [step_noise(run) for run in runs]
    variance = float(np.mean([noise.sd**2 for noise in found]))
    averaged = float(np.mean([len(run) for run in runs]) * np.mean([len(s) for s in traces]))
    return variance, float(sum(noise.n - 2 for noise in found)), averaged


def _item_noise(blocks: list[Block], last: int) -> Noise:
    """Return the noise of a score from which items were asked, as it stays in a comparison."""
    with np.errstate(invalid="ignore"):
        means = np.array([block.last(last).mean(axis=0) for block in blocks])
    means = means[:, np.isfinite(means).all(axis=0)]
    m, n = means.shape
    if n < 2 or m < 2:
        return None
    residual = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
    df = (m - 1.0) * (n - 1)
    return float((residual**2).sum() / df) / n, df, 1.0


def _ratio(
    between: float, df: float, variance: float, noise_df: float, averaged: float, level: float
) -> tuple[float, float, float]:
    """Return sqrt(V_recipe / V_noise) and its interval, from the F distribution."""
    if variance == 0:
        ratio = float("inf") if between > 0 else float("nan")
        return ratio, ratio, ratio
    observed = between / variance
    tail = (1 - level) / 2
    ends = [observed / special.fdtri(df, noise_df, p) - 1 / averaged for p in (1 - tail, tail)]
    values = [observed - 1 / averaged, *ends]
    estimate, lower, upper = (float(np.sqrt(max(v, 0.0))) for v in values)
    return estimate, lower, upper


def _as_published(
    benchmark: Benchmark,
    traces: list[list[NDArray[np.float64]]],
    ends: list[NDArray[np.float64]],
    last: int,
) -> dict[str, float]:
    """Return the ratios in the literature: Madaan et al. 2024, Heineman et al. 2025."""
    finals = [np.array([t[-1] for t in seeds]) for seeds in traces if len(seeds) > 1]
    sds = [float(f.std(ddof=1)) for f in finals]
    usable = [(float(f.mean()), sd) for f, sd in zip(finals, sds, strict=True) if sd > 0]
    floor = benchmark.chance if np.isfinite(benchmark.chance) else 0.0
    tails = [t[-last:] for seeds in traces for t in seeds if len(t) >= 4]
    plain = float(np.mean([t.std() for t in tails])) if tails else 0.0
    means = np.array([end.mean() for end in ends])
    return {
        "mean_over_sd": float(np.mean([m / s for m, s in usable])) if usable else np.nan,
        "above_chance_over_sd": float(np.mean([(m - floor) / s for m, s in usable]))
        if usable
        else np.nan,
        "range_snr": float(np.ptp(means)) / plain if plain > 0 else np.nan,
    }


def _trend(benchmark: Benchmark, traces: list[list[NDArray[np.float64]]]) -> dict[str, float]:
    found = [monotonicity(t, benchmark.direction) for seeds in traces for t in seeds if len(t) > 2]
    names = {"tau": "tau", "tau_z": "z", "spearman": "spearman", "rise": "rise"}
    return {
        name: float(np.mean([getattr(one, field) for one in found])) if found else np.nan
        for name, field in names.items()
    }
