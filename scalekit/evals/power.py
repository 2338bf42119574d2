"""How many seeds, items and samples: `power`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalekit.errors import InputError
from scalekit.evals.additions import checked_costs, design_cost
from scalekit.evals.blocks import rows_of
from scalekit.evals.conventions import (
    PUBLISHED_SEED_NOISE,
    is_proportion,
    published_seed_noise,
)
from scalekit.evals.decomposing import ASSUMED_DIFFERENCE
from scalekit.evals.planning import NoiseModel
from scalekit.evals.reading import Source, as_evals
from scalekit.evals.variance import benchmark_variance
from scalekit.notes import Note
from scalekit.results import Provenance, Result, check_level, with_notes
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False, eq=False)
class PowerTable(Result):
    """What designs can find: one row per benchmark, metric, seeds, items and samples.

    `table`: standard_error and df of a difference, detectable (the smallest true difference found
    with `target_power`), cost, and `power` for `difference` where one was asked for.
    """

    kind: ClassVar[str] = "power"
    table: pd.DataFrame
    noise: Mapping[str, NoiseModel]
    difference: float | None
    target_power: float
    confidence_level: float
    costs: Mapping[str, float]
    notes: tuple[Note, ...]
    provenance: Provenance

    def cheapest(self) -> pd.DataFrame:
        """Return, per benchmark, the cheapest design of the table that finds the difference.

        Benchmarks on which none does are not in it. Raises InputError without a difference.
        """
        if self.difference is None:
            raise InputError("Say which difference is to be found: power(..., difference=0.01).")
        enough = self.table[self.table["power"] >= self.target_power]
        best = enough.sort_values("cost").groupby(["benchmark", "metric"], sort=False)
        return best.head(1).sort_values(["benchmark", "metric"]).reset_index(drop=True)

    def summary(self) -> str:
        """Return the answer per benchmark, then the table."""
        lines = [
            f"Detectable difference at {percent(self.target_power)} power, "
            f"{percent(self.confidence_level)} confidence:"
        ]
        if self.difference is not None:
            lines += self._answers()
        table = self.table.head(60).to_string(index=False, float_format="{:.4g}".format)
        return with_notes("\n".join(lines) + f"\n\n{table}", self.notes)

    def _answers(self) -> list[str]:
        best = {(r.benchmark, r.metric): r for r in rows_of(self.cheapest())}
        lines = []
        for key in dict.fromkeys(zip(self.table["benchmark"], self.table["metric"], strict=True)):
            row = best.get(key)
            design = (
                f"{row.seeds} seed{'s' * (row.seeds > 1)} per recipe, {row.items:,} items, "
                f"{row.samples} sample{'s' * (row.samples > 1)} an answer "
                f"(power {row.power:.0%}, cost {row.cost:,.0f} answers)"
                if row is not None
                else "none of these designs"
            )
            lines.append(f"{key[0]} ({key[1]}): {self.difference:g} is found by {design}.")
        return lines

    def to_frame(self) -> pd.DataFrame:
        """Return one row per design."""
        return self.table

    def payload(self) -> dict[str, Any]:
        """Return the table, the noise behind it, and what was asked for."""
        return {
            "params": {},
            "difference": self.difference,
            "target_power": self.target_power,
            "confidence_level": self.confidence_level,
            "costs": dict(self.costs),
            "noise": {name: asdict(model) for name, model in self.noise.items()},
            "table": self.table.to_dict("records"),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> PowerTable:
        """Return the result that `save` wrote."""
        noise = {
            name: NoiseModel(**{k: np.inf if v is None else v for k, v in model.items()})
            for name, model in values["noise"].items()
        }
        return cls(
            pd.DataFrame(values["table"]).replace({None: np.nan}),
            noise,
            values["difference"],
            values["target_power"],
            values["confidence_level"],
            values["costs"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw power against the true difference, one line per number of seeds."""
        from scalekit.evals.plots import plot_power

        return plot_power(self, ax)


def power(
    source: Source | None = None,
    *,
    benchmark: str | None = None,
    metric: str | None = None,
    difference: float | None = None,
    seeds: Sequence[int] = (1, 2, 3, 5, 10),
    items: Sequence[int] | None = None,
    samples: Sequence[int] = (1,),
    seed_sd: float | None = None,
    costs: Mapping[str, float] | None = None,
    target_power: float = 0.8,
    confidence_level: float = 0.95,
) -> PowerTable:
    """Return detectable differences, and power for `difference`, over seeds x items x samples.

    The noise comes from a log (`source`, as `read_evals` takes it; `seed_sd` where the log has one
    seed), or, without a log, from the published table for `benchmark` (seed SD of a 7B model; the
    SD of item differences then assumed to be 0.6 of the item SD). One seed per recipe is planned
    as if the seed SD were known. Differences and SDs are in the metric's unit (fractions).

    Raises InputError for a benchmark without known seed noise, and for designs below one seed, two
    items or one sample.

    >>> table = power(benchmark="mmlu", seeds=[3]).table
    >>> round(float(table["detectable"].iloc[0]), 3)
    0.017
    """
    check_level(confidence_level)
    prices = checked_costs(costs)
    if difference is not None and not difference > 0:
        raise InputError(f"The difference to find must be positive; got {difference}.")
    if source is None:
        noise, sizes, notes, provenance = _published(benchmark, seed_sd)
    else:
        noise, sizes, notes, provenance = _from_log(source, benchmark, metric, seed_sd)
    rows = []
    for (name, measure), model in noise.items():
        if difference is not None and is_proportion(measure) and difference >= 1:
            raise InputError(
                f"A difference of {difference:g} in {measure} cannot be: scores are in fractions "
                "of 1, so a point is 0.01."
            )
        grid = np.meshgrid(
            np.asarray(seeds), np.asarray(items or [sizes[name, measure]]), np.asarray(samples),
            indexing="ij",
        )  # fmt: skip
        designs = pd.DataFrame({k: g.ravel() for k, g in zip(DESIGN, grid, strict=True)})
        found = _rows(model, designs, difference, confidence_level, target_power)
        found["cost"] = design_cost(designs["seeds"], designs["items"], designs["samples"], prices)
        found.insert(0, "metric", measure)
        found.insert(0, "benchmark", name)
        rows.append(found)
        if len(samples) > 1 and not model.sample:
            notes.append(
                Note(
                    "sample-noise-unknown",
                    "warning",
                    f"{name}: answers were not "
                    "repeated, so the gain from more samples is not known; none is "
                    "counted.",
                )
            )
    table = pd.concat(rows, ignore_index=True)
    if set(table["seeds"]) > {1}:
        notes.append(
            Note("one-seed-known", "info", "Designs of 1 seed take the seed SD for known, those of "
                 "more estimate it: 1 seed may seem to find more than 2, and does as far as the SD "
                 "is right.")
        )  # fmt: skip
    labels = {f"{name} ({measure})": model for (name, measure), model in noise.items()}
    return PowerTable(table, labels, difference, target_power, confidence_level, prices,
                      tuple(notes), provenance)  # fmt: skip


DESIGN = ("seeds", "items", "samples")
Noise = tuple[dict[tuple[str, str], NoiseModel], dict[tuple[str, str], int], list[Note], Provenance]


def _rows(
    model: NoiseModel,
    designs: pd.DataFrame,
    difference: float | None,
    confidence_level: float,
    target_power: float,
) -> pd.DataFrame:
    k, n, r = (designs[column].to_numpy() for column in DESIGN)
    known = replace(model, seed_df=np.inf)

    def of(quantity: Callable[[NoiseModel], NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.where(k == 1, quantity(known), quantity(model))

    table = designs.assign(
        standard_error=np.sqrt(model.variance(k, n, r)),
        df=of(lambda noise: noise.df(k, n, r)),
        detectable=of(lambda noise: noise.detectable(k, n, r, confidence_level, target_power)),
    )
    if difference is not None:
        table["power"] = of(lambda noise: noise.power(difference, k, n, r, confidence_level))
    return table


def _published(benchmark: str | None, seed_sd: float | None) -> Noise:
    row = published_seed_noise(benchmark) if benchmark else None
    if row is None:
        listed = ", ".join(r.benchmark for r in PUBLISHED_SEED_NOISE.values())
        raise InputError(
            f"Without a log, the noise is known for: {listed}. "
            + (
                f"'{benchmark}' is not among them: give a log."
                if benchmark
                else "Name one: --benchmark MMLU (in Python benchmark='MMLU')."
            )
        )
    sd = row.seed_sd if seed_sd is None else seed_sd
    spread = ASSUMED_DIFFERENCE**2 * row.mean * (1 - row.mean)
    notes = [
        Note("published-noise", "warning", f"Seed SD {sd:g} and mean {row.mean:g} of "
             f"{row.benchmark}: {row.source}. Other models and scales differ."),
        Note("assumed-item-noise", "info", "The SD of item differences is assumed to be "
             f"{ASSUMED_DIFFERENCE} of the item SD; a log of two recipes measures it."),
    ]  # fmt: skip
    key = (row.benchmark, "accuracy")
    return {key: NoiseModel(sd**2, spread)}, {key: row.n_items}, notes, Provenance(row.source)


def _from_log(
    source: Source, benchmark: str | None, metric: str | None, seed_sd: float | None
) -> Noise:
    evals = as_evals(source).select(benchmark=benchmark, metric=metric)
    final = evals.last_steps()
    variance = benchmark_variance(final)
    noise, sizes, notes = {}, {}, list(variance.notes)
    if len(final.frame) < len(evals.frame):
        notes.append(Note("last-steps", "info", "Planned for scores at the last step of a run."))
    for row in rows_of(variance.overview):
        key = (str(row.benchmark), str(row.metric))
        if row.items < 2:
            raise InputError(f"{key[0]} has one score per run: log item answers to plan items.")
        model = variance.noise_model(*key)
        sd = row.seed_sd if seed_sd is None else seed_sd
        if not np.isfinite(sd):
            published = published_seed_noise(*key)
            if published is None:
                raise InputError(
                    f"{key[0]} ({key[1]}): the log has one seed per recipe, and no seed noise is "
                    "published for it. State one, with --seed-sd (in Python seed_sd; 0.005 is half "
                    "a point)."
                )
            sd = published.seed_sd
            notes.append(
                Note(
                    "seed-noise-borrowed",
                    "warning",
                    f"{key[0]}: one seed in the log; seed SD {sd:g} from {published.source}.",
                )
            )
        if row.recipes < 2:
            notes.append(
                Note("assumed-item-noise", "info", f"{key[0]}: one recipe in the log; the SD of "
                     f"item differences is assumed to be {ASSUMED_DIFFERENCE} of the item SD.")
            )  # fmt: skip
        if row.seeds < 2:
            notes.append(
                Note("one-seed-plan", "info", f"{key[0]}: with one seed per recipe, what single "
                     "answers vary by cannot be told from true differences between items; the "
                     "gain from more seeds is larger than planned here.")
            )  # fmt: skip
        noise[key], sizes[key] = replace(model, seed=float(sd) ** 2), int(row.items)
    return noise, sizes, notes, evals.provenance
