"""The three classical approaches to compute-optimal allocation, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, ScalekitError
from scalekit.fitters.envelopes import Envelope, envelope
from scalekit.fitters.fitting import fit
from scalekit.fitters.isoflops import isoflop
from scalekit.fitters.law import Law
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.rows import IN_MEMORY
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable
from scalekit.units import format_quantity, format_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = ("params", "tokens", "tokens_per_param")


@dataclass(frozen=True, eq=False, repr=False)
class Approaches(Result):
    """What each approach says of the same budgets.

    `exponents` has one row an approach: that of params in the budget with its interval, or the
    reason for which the approach was refused. `table` has one row an approach and budget: params,
    tokens, tokens_per_param with `_lower` and `_upper`.
    """

    exponents: pd.DataFrame
    table: pd.DataFrame
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "approaches"

    def summary(self) -> str:
        """Return one line an approach and budget, those refused last, and whether they agree."""
        lines, refused = [], []
        for row in self.exponents.to_dict("records"):
            if row["refused"]:
                refused.append(f"{row['approach']}: refused. {row['refused']}")
                continue
            lines.append(
                f"{row['approach']}: params ~ C^{row['estimate']:.3f} [{row['ci_lower']:.3f}, "
                f"{row['ci_upper']:.3f}]"
            )
            mine = self.table[self.table["approach"] == row["approach"]]
            lines += [f"  {_allocation(at)}" for at in mine.to_dict("records")]
        return with_notes("\n".join([*lines, *refused]), self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row an approach and budget."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return exponents and allocations."""
        return {
            "params": {}, "confidence_level": self.confidence_level,
            "exponents": self.exponents.to_dict("records"), "table": self.table.to_dict("records"),
        }  # fmt: skip

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Approaches:
        """Return what `save` wrote."""
        exponents = pd.DataFrame(values["exponents"])
        numbers = ["estimate", "ci_lower", "ci_upper"]
        return cls(
            exponents.assign(**{name: exponents[name].astype(float) for name in numbers}),
            pd.DataFrame(values["table"]), values["confidence_level"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the optimal params of each approach over the budgets, with intervals."""
        from scalekit.axes import BLUE, GREY, ORANGE, new_axes

        ax = new_axes(ax)
        colours = dict(zip(self.exponents["approach"], (BLUE, ORANGE, GREY), strict=False))
        for name, part in self.table.groupby("approach", sort=False):
            low, high = part["params"] - part["params_lower"], part["params_upper"] - part["params"]
            ax.errorbar(part["flops"], part["params"], yerr=[low.clip(0), high.clip(0)], marker="o",
                        capsize=3, color=colours[name], label=str(name))  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="FLOPs", ylabel="optimal params")
        ax.set_title("Three approaches to the best split of compute", fontsize="medium")
        ax.legend(fontsize="small", frameon=False)
        return ax


def allocation_approaches(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    flops: float | Sequence[float],
    *,
    law: str | Law = "chinchilla",
    curves: RunTable | pd.DataFrame | None = None,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Approaches:
    """Find the compute-optimal allocation of budgets `flops` by the three classical approaches.

    Envelope of training curves (`curves`, with a column run; default: `runs`, where runs have
    several rows), isoFLOP minima (where runs share budgets) and the parametric `law`. An approach
    that the runs do not allow is listed with the reason. A note tells where intervals of the
    exponents do not overlap: the approaches then differ by more than their noise.

    Raises InputError where no approach can be taken. Source: Hoffmann et al. 2022, section 3.

    >>> import scalekit as sk
    >>> params, flops = np.geomspace(1e7, 1e9, 9), np.geomspace(1e18, 1e20, 5)
    >>> grid = pd.DataFrame([{"params": n, "flops": c, "tokens": c / 6 / n}
    ...                      for c in flops for n in params])
    >>> loss = 1.8 + 480 * grid["params"] ** -0.35 + 2000 * grid["tokens"] ** -0.37
    >>> found = allocation_approaches(grid.assign(loss=loss), 1e22)
    >>> [bool(reason) for reason in found.exponents["refused"]]
    [True, False, False]
    """
    generator = as_generator(rng)
    table_of_runs = runs if isinstance(runs, RunTable) else pd.DataFrame(runs)
    budgets = np.atleast_1d(np.asarray(flops, dtype=float))
    rows, tables, notes = [], [], []
    for name, take in (
        (
            "envelope",
            lambda: _by_envelope(
                table_of_runs if curves is None else curves, budgets, confidence_level, generator
            ),
        ),
        ("isoflop", lambda: _by_minima(table_of_runs, budgets, confidence_level, generator)),
        ("parametric", lambda: _by_law(table_of_runs, law, budgets, confidence_level, generator)),
    ):
        try:
            exponent, table, told = take()
        except ScalekitError as error:
            rows.append({"approach": name, "estimate": np.nan, "ci_lower": np.nan,
                         "ci_upper": np.nan, "refused": str(error)})  # fmt: skip
            continue
        rows.append({"approach": name, **exponent, "refused": ""})
        tables.append(table.assign(approach=name))
        notes += [note for note in told if note.severity != "info"]
    if not tables:
        reasons = "; ".join(f"{row['approach']}: {row['refused']}" for row in rows)
        raise InputError(f"None of the three approaches can be taken. {reasons}")
    exponents = pd.DataFrame(rows)
    names = [f"{quantity}{end}" for quantity in SHOWN for end in ("", "_lower", "_upper")]
    table = pd.concat(tables, ignore_index=True)[["approach", "flops", *names]]
    notes += _disagreement(exponents)
    return Approaches(
        exponents, table, confidence_level, tuple({n.message: n for n in notes}.values()),
        Provenance(source=runs.provenance.source if isinstance(runs, RunTable) else IN_MEMORY,
                   n_rows=len(table_of_runs), seed=seed_of(rng)),
    )  # fmt: skip


def _allocation(at: Mapping[Any, Any]) -> str:
    size = [format_quantity(at[f"params{end}"]) for end in ("", "_lower", "_upper")]
    data = [f"{at[f'tokens_per_param{end}']:.3g}" for end in ("", "_lower", "_upper")]
    return (
        f"{format_scale(at['flops'], 'flops')} FLOPs: {size[0]} [{size[1]}, {size[2]}] params, "
        f"{data[0]} [{data[1]}, {data[2]}] tokens each"
    )


Taken = tuple[dict[str, float], pd.DataFrame, tuple[Note, ...]]


def _by_law(
    runs: RunTable | pd.DataFrame,
    law: str | Law,
    budgets: np.ndarray,
    level: float,
    rng: np.random.Generator,
) -> Taken:
    found = fit(runs, law, confidence_level=level, rng=rng).frontier(budgets.tolist())
    return _exponent(found.exponents), found.table, found.notes


def _by_minima(
    runs: RunTable | pd.DataFrame, budgets: np.ndarray, level: float, rng: np.random.Generator
) -> Taken:
    found = isoflop(runs, confidence_level=level, rng=rng)
    return _exponent(found.exponents), found.predict(budgets.tolist()), found.notes


def _by_envelope(
    curves: RunTable | pd.DataFrame, budgets: np.ndarray, level: float, rng: np.random.Generator
) -> Taken:
    frame = curves.frame if isinstance(curves, RunTable) else curves
    if "run" not in frame or not frame["run"].duplicated().any():
        source = curves.provenance.source if isinstance(curves, RunTable) else IN_MEMORY
        found_there = "each run has one row" if "run" in frame else "there is no column run"
        raise InputError(
            f"{source} holds no training curves: {found_there}. An envelope needs the log of each "
            "run, one row a step, with a column run: give a file of them with --curves (in Python "
            "curves=)."
        )
    found = envelope(curves, confidence_level=level, rng=rng)
    return _exponent(found.exponents), _along(found, budgets), found.notes


def _exponent(exponents: pd.DataFrame) -> dict[str, float]:
    names = ["estimate", "ci_lower", "ci_upper"]
    return dict(zip(names, exponents.loc["params", names].to_numpy(float).tolist(), strict=True))


def _along(found: Envelope, budgets: np.ndarray) -> pd.DataFrame:
    """Return the envelope's best sizes at budgets: its line in logs, turned by the interval."""
    logs = np.log(found.table["flops"].to_numpy(float))
    middle, size = logs.mean(), np.log(found.table["params"].to_numpy(float)).mean()
    away = np.log(budgets) - middle
    slope = _exponent(found.exponents)
    ends = np.sort([size + slope[name] * away for name in ("ci_lower", "ci_upper")], axis=0)
    centre = size + slope["estimate"] * away
    data = np.log(budgets / 6)
    table = pd.DataFrame({"flops": budgets})
    for name, sign, base in (
        ("params", 1, 0.0),
        ("tokens", -1, data),
        ("tokens_per_param", -2, data),
    ):
        table[name] = np.exp(base + sign * centre)
        low, high = np.sort([base + sign * end for end in ends], axis=0)
        table[f"{name}_lower"], table[f"{name}_upper"] = np.exp(low), np.exp(high)
    return table


def _disagreement(exponents: pd.DataFrame) -> list[Note]:
    taken = exponents[exponents["refused"] == ""].to_dict("records")
    apart = [
        f"{a['approach']} ({a['estimate']:.3f}) and {b['approach']} ({b['estimate']:.3f})"
        for a, b in combinations(taken, 2)
        if a["ci_upper"] < b["ci_lower"] or b["ci_upper"] < a["ci_lower"]
    ]
    if not apart:
        return []
    return [
        Note(
            "approaches_disagree",
            "warning",
            f"The exponents of {', of '.join(apart)} differ by more than their intervals: at least "
            "one approach does not fit these runs. Do not extrapolate far by any.",
        )
    ]
