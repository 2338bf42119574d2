"""Standard errors for scaling-law fits: `noise_weights`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.evals.blocks import Benchmark
from scalekit.evals.reading import Source, as_evals
from scalekit.evals.step_noise import STEP_TO_SEED, step_noise
from scalekit.moderation import moderate


def noise_weights(
    source: Source,
    *,
    benchmark: str | None = None,
    metric: str | None = None,
    last: int = 1,
    step_to_seed: float = STEP_TO_SEED,
) -> pd.DataFrame:
    """Return a table indexed by `run` (the recipe) with `noise`, the standard error of its score.

    For `scalekit.fit(runs, weights="noise")`, which wants a column `noise` beside `loss`, and
    shrinks the less the more degrees of freedom `noise_df` it has:
    `runs = runs.join(noise_weights(items)[["noise", "noise_df"]], on="run")`. Columns: value
    (the mean over seeds of the last `last` checkpoints), noise (one standard error of it, in the
    metric's unit), seeds, noise_df and source.
    The seed variance of each recipe is shrunk towards that of all recipes (raw weights from three
    seeds make a fit worse where the noise is equal; shrunk ones do not). Where no recipe has two
    seeds, it is the step noise of the last 10 checkpoints times `step_to_seed`, likewise shrunk.

    Raises InputError where the log has several benchmarks or metrics and none is named, and where
    it has neither two seeds nor four checkpoints.

    >>> rng = np.random.default_rng(0)
    >>> table = noise_weights({name: rng.normal(3, 0.01, (3, 1)) for name in "abcd"})
    >>> table.index.tolist(), bool((table["noise"] > 0).all())
    (['a', 'b', 'c', 'd'], True)
    """
    evals = as_evals(source).select(benchmark=benchmark, metric=metric)
    benchmarks = evals.benchmarks()
    if len(benchmarks) > 1:
        names = sorted(b.label for b in benchmarks)
        raise InputError(f"Name one benchmark and one metric. {did_you_mean('', names)}")
    one = benchmarks[0]
    scores = {name: _ends(one, name, last) for name in one.blocks}
    variances, df, source_of = _seed_variances(scores)
    if not df.any():
        variances, df = _step_variances(one, step_to_seed)
        source_of = f"step noise of the last checkpoints x {step_to_seed:g}"
    known = df > 0
    moderated = moderate(variances[known], df[known])
    prior = moderated.prior_variance
    filled = np.full(len(scores), prior if np.isfinite(prior) else np.mean(variances[known]))
    filled[known] = moderated.variances
    total_df = np.full(len(scores), moderated.prior_df)
    total_df[known] = moderated.df
    if (filled <= 0).all():
        raise InputError(f"{one.label} never varies between seeds: it has no noise to weigh by.")
    floor = filled[filled > 0].min()
    seeds = np.array([len(end) for end in scores.values()])
    return pd.DataFrame(
        {
            "value": [float(end.mean()) for end in scores.values()],
            "noise": np.sqrt(np.maximum(filled, floor) / seeds),
            "seeds": seeds,
            "noise_df": total_df,
            "source": source_of,
        },
        index=pd.Index(list(scores), name="run"),
    )


def _ends(benchmark: Benchmark, recipe: str, last: int) -> np.ndarray:
    scores = benchmark.blocks[recipe].seed_scores()
    return np.array([s[np.isfinite(s)][-last:].mean() for s in scores])


def _seed_variances(scores: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, str]:
    df = np.array([len(end) - 1 for end in scores.values()], dtype=np.float64)
    variances = np.array([end.var(ddof=1) if len(end) > 1 else 0.0 for end in scores.values()])
    return variances, df, "seeds, moderated over runs"


def _step_variances(benchmark: Benchmark, step_to_seed: float) -> tuple[np.ndarray, np.ndarray]:
    variances, df = [], []
    for block in benchmark.blocks.values():
        trace = block.seed_scores()[0]
        trace = trace[np.isfinite(trace)][-10:]
        enough = len(trace) >= 4
        variances.append((step_to_seed * step_noise(trace).sd) ** 2 if enough else 0.0)
        df.append(len(trace) - 2.0 if enough else 0.0)
    if not any(df):
        raise InputError(
            f"{benchmark.label}: one seed per run and fewer than four checkpoints; the noise "
            "cannot be seen. Log more checkpoints, or train one recipe with two seeds."
        )
    return np.array(variances), np.array(df)
