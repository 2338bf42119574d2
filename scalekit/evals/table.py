"""The long table of benchmark results: one row an answer, checked, with what must be known of it.

Columns: recipe, seed, step, benchmark, metric, item, sample, cluster, value; `stderr` and `scale`
where the log has them. What is not in a log has one level ("all", 0), and is then not estimable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, did_you_mean
from scalekit.evals.blocks import Benchmark, build_benchmark, rows_of
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes

KEYS = ["recipe", "seed", "step", "benchmark", "metric", "item", "sample"]
DEFAULTS: dict[str, Any] = {
    "recipe": "all", "seed": 0, "step": 0, "benchmark": "benchmark", "metric": "score",
    "item": "all", "sample": 0,
}  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class Evals(Result):
    """Benchmark results, one row an answer (or a score), with direction and chance per benchmark.

    `frame` is the long table, `tasks` has one row per benchmark and metric: direction (+1 higher
    is better, -1 lower), chance (the score of a guess, NaN where unknown), and the counts of
    recipes, seeds, steps, items, clusters and missing cells.
    """

    kind: ClassVar[str] = "evals"
    frame: pd.DataFrame
    tasks: pd.DataFrame
    notes: tuple[Note, ...]
    provenance: Provenance

    def select(
        self,
        benchmark: str | None = None,
        metric: str | None = None,
        recipe: str | list[str] | None = None,
    ) -> Evals:
        """Return the part of the table with this benchmark, metric and recipe (or recipes).

        Raises ColumnNotFoundError, with the nearest name, where there is no such value.
        """
        wanted = {"benchmark": benchmark, "metric": metric, "recipe": recipe}
        if all(value is None for value in wanted.values()):
            return self
        keep = np.ones(len(self.frame), dtype=bool)
        for column, value in wanted.items():
            if value is not None:
                values = [value] if isinstance(value, str) else value
                require_levels(self.frame, column, values)
                keep &= self.frame[column].isin(values).to_numpy()
        frame = self.frame[keep].reset_index(drop=True)
        return Evals(frame, describe_tasks(frame, self.tasks), self.notes, self.provenance)

    def last_steps(self) -> Evals:
        """Return the part of the table at each run's last step."""
        keys = ["recipe", "seed", "benchmark", "metric"]
        last = self.frame.groupby(keys, observed=True)["step"].transform("max")
        frame = self.frame[self.frame["step"] == last].reset_index(drop=True)
        return Evals(frame, describe_tasks(frame, self.tasks), self.notes, self.provenance)

    def benchmarks(self) -> list[Benchmark]:
        """Return the table as dense blocks, one object per benchmark and metric."""
        groups = self.frame.groupby(["benchmark", "metric"], sort=True, observed=True)
        return [
            build_benchmark(
                groups.get_group((task.benchmark, task.metric)),
                str(task.benchmark),
                str(task.metric),
                int(task.direction),
                float(task.chance),
            )
            for task in rows_of(self.tasks)
        ]

    def scores(self) -> pd.DataFrame:
        """Return one row per recipe, seed, step, benchmark and metric: the mean over items."""
        keys = ["benchmark", "metric", "recipe", "seed", "step"]
        per_item = self.frame.groupby([*keys, "item"], observed=True)["value"].mean()
        return per_item.groupby(keys, observed=True).agg(value="mean", n_items="size").reset_index()

    def summary(self) -> str:
        """Return the interpretation of the log: what was found, per benchmark and metric."""
        levels = {c: self.frame[c].nunique() for c in ("recipe", "benchmark", "metric")}
        counts = ", ".join(f"{n} {name}{'s' * (n > 1)}" for name, n in levels.items())
        head = f"{len(self.frame):,} results: {counts}."
        table = self.tasks.head(30).to_string(index=False, float_format="{:.4g}".format)
        more = f"\n... and {len(self.tasks) - 30} more" if len(self.tasks) > 30 else ""
        return with_notes(f"{head}\n{table}{more}", self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return the long table."""
        return self.frame

    def _repr_html_(self) -> str:
        """Show the benchmarks, not the answers: logs have hundreds of thousands."""
        return self._page(self.tasks)

    def payload(self) -> dict[str, Any]:
        """Return the table per benchmark; the rows themselves are saved as .csv or .parquet."""
        return {"params": {}, "tasks": self.tasks.to_dict("records")}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the columns of the long table, as saved beside the JSON."""
        return {
            str(name): column.to_numpy(dtype=None if column.dtype.kind in "fiu" else np.str_)
            for name, column in self.frame.items()
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Evals:
        """Return the table that `save` wrote."""
        tasks = pd.DataFrame(values["tasks"])
        tasks["chance"] = tasks["chance"].astype(float)
        notes = tuple(Note(**note) for note in values["notes"])
        return cls(pd.DataFrame(dict(arrays)), tasks, notes, Provenance(**values["provenance"]))


def require_levels(frame: pd.DataFrame, column: str, values: list[str]) -> None:
    """Raise ColumnNotFoundError where a value is not among those of the column."""
    present = set(frame[column].unique())
    for value in values:
        if value not in present:
            raise ColumnNotFoundError(
                f"No {column} '{value}' in this log. {did_you_mean(str(value), sorted(present))}"
            )


def describe_tasks(frame: pd.DataFrame, meta: pd.DataFrame) -> pd.DataFrame:
    """Return one row per benchmark and metric: direction, chance, counts, missing cells.

    A cell is missing where a recipe, seed and step that was run has no answer to an item that
    some recipe answered.
    """
    rows = []
    known = {(m.benchmark, m.metric): m for m in rows_of(meta)}
    for key, part in frame.groupby(["benchmark", "metric"], sort=True, observed=True):
        runs = part.groupby(["recipe", "seed", "step"], observed=True).ngroups
        cells = part.groupby(["recipe", "seed", "step", "item"], observed=True).ngroups
        items = part["item"].nunique()
        task = known[key[0], key[1]]
        rows.append(
            {
                "benchmark": str(key[0]),
                "metric": str(key[1]),
                "direction": int(task.direction),
                "chance": float(task.chance),
                "recipes": part["recipe"].nunique(),
                "seeds": int(part.groupby("recipe", observed=True)["seed"].nunique().max()),
                "steps": part["step"].nunique(),
                "items": items,
                "samples": int(np.ceil(len(part) / max(cells, 1))),
                "clusters": part["cluster"].nunique() if "cluster" in part else 0,
                "missing": runs * items - cells,
            }
        )
    return pd.DataFrame(rows)
