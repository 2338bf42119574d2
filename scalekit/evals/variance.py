"""Where the noise of a benchmark comes from: `benchmark_variance`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalekit.errors import InputError
from scalekit.evals.blocks import Benchmark, rows_of
from scalekit.evals.decomposing import components_of, noise_model, projected
from scalekit.evals.planning import NoiseModel
from scalekit.evals.reading import Source, as_evals
from scalekit.notes import Note
from scalekit.results import Provenance, Result, check_level, with_notes
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False, eq=False)
class BenchmarkVariance(Result):
    """Variance components per benchmark and metric, and what follows from them.

    `components`: benchmark, metric, component, variance (zero where the estimate is negative),
    unbiased (may be negative), ci_lower, ci_upper, sd, share. `overview`: one row per benchmark
    and metric with the mean, the chance level, the design, the standard error of one score, the
    signal-to-noise ratio and the minimum detectable difference of two recipes, as designed.
    """

    kind: ClassVar[str] = "benchmark_variance"
    components: pd.DataFrame
    overview: pd.DataFrame
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance

    @property
    def params(self) -> pd.Series:
        """The variances, indexed by benchmark, metric and component."""
        return self.components.set_index(["benchmark", "metric", "component"])["variance"]

    def noise_model(self, benchmark: str, metric: str | None = None) -> NoiseModel:
        """Return the components of one benchmark as the noise of a comparison (see `power`)."""
        rows = self.components[self.components["benchmark"] == benchmark]
        rows = rows if metric is None else rows[rows["metric"] == metric]
        if rows.empty or len(set(rows["metric"])) > 1:
            names = sorted({f"{r.benchmark} ({r.metric})" for r in rows_of(self.overview)})
            raise InputError(f"Name one benchmark and metric of: {', '.join(names)}.")
        return noise_model(dict(zip(rows["component"], rows["variance"], strict=True)))

    def project(
        self,
        seeds: int | None = None,
        items: int | None = None,
        steps: int | None = None,
        samples: int | None = None,
    ) -> pd.DataFrame:
        """Return the standard errors that another design would have (a decision study).

        `score_se` is that of one recipe's score on new items; `difference_se` that of the
        difference of two recipes which share items and steps; `reliability` the share of true
        variance in the scores of recipes. What is not given stays as in the log.
        """
        rows = []
        given = {"seeds": seeds, "items": items, "steps": steps, "samples": samples}
        for task in rows_of(self.overview):
            part = self.components[
                (self.components["benchmark"] == task.benchmark)
                & (self.components["metric"] == task.metric)
            ]
            variance = dict(zip(part["component"], part["variance"], strict=True))
            design = {k: v if v is not None else getattr(task, k) for k, v in given.items()}
            if min(design.values()) < 1:
                raise InputError(f"A design has at least one of each; got {given}.")
            rows.append({"benchmark": task.benchmark, "metric": task.metric, **design,
                         **projected(variance, **design)})  # fmt: skip
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Return, per benchmark, which noise dominates, and the table behind it."""
        shown = rows_of(self.overview.head(12))
        lines = [_sentence(row, self.components, self.confidence_level) for row in shown]
        if len(self.overview) > 12:
            lines.append(f"... and {len(self.overview) - 12} more (see .to_frame())")
        table = self.components[["benchmark", "metric", "component", "sd", "variance", "ci_lower",
                                 "ci_upper", "share"]].head(60)  # fmt: skip
        text = table.to_string(index=False, float_format="{:.4g}".format)
        return with_notes("\n".join(lines) + f"\n\n{text}", self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per benchmark, metric and component."""
        return self.components

    def payload(self) -> dict[str, Any]:
        """Return the components, the overview and the level of the intervals."""
        params = {
            f"{r.benchmark}/{r.metric}/{r.component}": {
                "estimate": r.variance, "ci_lower": r.ci_lower, "ci_upper": r.ci_upper
            }
            for r in rows_of(self.components)
        }  # fmt: skip
        return {
            "params": params,
            "confidence_level": self.confidence_level,
            "components": self.components.to_dict("records"),
            "overview": self.overview.to_dict("records"),
        }

    @classmethod
    def restore(
        cls, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> BenchmarkVariance:
        """Return the result that `save` wrote."""
        return cls(
            pd.DataFrame(values["components"]).replace({None: np.nan}),
            pd.DataFrame(values["overview"]).replace({None: np.nan}),
            float(values["confidence_level"]),
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the components as stacked bars, one bar per benchmark."""
        from scalekit.evals.plots import plot_components

        return plot_components(self, ax)


def benchmark_variance(source: Source, confidence_level: float = 0.95) -> BenchmarkVariance:
    """Return all variance components of each benchmark and metric, with intervals.

    `source` is what `read_evals` reads or returned. Components of one answer: recipe (the signal),
    item, recipe:item, seed, seed:item, step, seed:step, item:step, residual, sample; those whose
    factor has one level are not there. Balanced logs are solved exactly by the expected mean
    squares, others by moments; intervals are modified large-sample ones (Ting et al. 1990), and
    the components within recipes are pooled over recipes. Raises InputError where no benchmark
    has two seeds, two items or two steps.

    >>> rng = np.random.default_rng(0)
    >>> answers = rng.random((5, 200)) < 0.7
    >>> benchmark_variance({"a": answers}).components["component"].tolist()
    ['item', 'seed', 'residual']
    """
    check_level(confidence_level)
    evals = as_evals(source)
    parts, overview, notes = [], [], list(evals.notes)
    for benchmark in evals.benchmarks():
        table = components_of(benchmark, confidence_level, notes)
        if table is None:
            continue
        variance = dict(zip(table["component"], table["variance"], strict=True))
        overview.append(_overview_row(benchmark, variance))
        parts.append(table)
    if not parts:
        raise InputError(
            "One seed, one item and one step everywhere: there is no variance to decompose. "
            "Log item answers (lm-eval: --log_samples), or several seeds."
        )
    return BenchmarkVariance(
        components=pd.concat(parts, ignore_index=True),
        overview=pd.DataFrame(overview),
        confidence_level=confidence_level,
        notes=tuple(notes),
        provenance=evals.provenance,
    )


def _overview_row(benchmark: Benchmark, variance: Mapping[str, float]) -> dict[str, Any]:
    blocks = list(benchmark.blocks.values())
    seeds = max(b.answers.shape[0] for b in blocks)
    steps = max(b.answers.shape[2] for b in blocks)
    design = {
        "seeds": seeds,
        "items": len(benchmark.items),
        "steps": steps,
        "samples": max(1, round(float(np.mean([b.samples for b in blocks])))),
    }
    mean = float(np.nanmean([np.nanmean(b.answers) for b in blocks]))
    noise = projected(variance, seeds, len(benchmark.items), steps, design["samples"])
    own_sd = noise["difference_se"] / np.sqrt(2)
    floor = benchmark.chance if np.isfinite(benchmark.chance) else 0.0
    signal = variance.get("recipe", float("nan"))
    comparable = len(benchmark.items) > 1 and seeds > 1
    model = noise_model(variance)
    return {
        "benchmark": benchmark.name,
        "metric": benchmark.metric,
        "mean": mean,
        "chance": benchmark.chance,
        "recipes": len(blocks),
        **design,
        **noise,
        "seed_sd": np.sqrt(variance["seed"]) if "seed" in variance else float("nan"),
        "above_chance_over_noise": (mean - floor) / own_sd if own_sd > 0 else float("nan"),
        "snr": np.sqrt(signal) / own_sd if own_sd > 0 else float("nan"),
        "detectable": float(model.detectable(seeds, len(benchmark.items), design["samples"]))
        if comparable
        else float("nan"),
    }


def _sentence(row: Any, components: pd.DataFrame, confidence_level: float) -> str:
    part = components[
        (components["benchmark"] == row.benchmark) & (components["metric"] == row.metric)
    ]
    variance = dict(zip(part["component"], part["variance"], strict=True))
    head = f"{row.benchmark} ({row.metric}): mean {row.mean:.4g}"
    if np.isfinite(row.seed_sd):
        seed = part[part["component"] == "seed"].iloc[0]
        lower, upper = np.sqrt(seed["ci_lower"]), np.sqrt(seed["ci_upper"])
        interval = f"[{lower:.3g}, {upper:.3g}] ({percent(confidence_level)} interval)"
        head += f", seed SD {row.seed_sd:.3g} {interval}"
    if np.isfinite(row.snr) and row.snr > 0:
        head += f", signal to noise {row.snr:.3g}"
    if np.isfinite(row.detectable):
        head += f", detectable difference {row.detectable:.3g} (80% power)"
    per = {
        name: value for name, value in variance.items() if name not in ("recipe", "step", "item")
    }
    if per and sum(per.values()):
        largest = max(per, key=lambda name: per[name])
        meaning = " (what no other part explains)" if largest == "residual" else ""
        head += f"; largest noise of a difference per answer: {largest}{meaning}"
    return head + "."
