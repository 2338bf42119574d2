"""Is pruning beating my power law? Error against kept examples, for each share kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.fitters import fit
from scalekit.fitters.fitted import Fit
from scalekit.notes import Note
from scalekit.results import Provenance, Result, check_level, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 25


@dataclass(frozen=True, eq=False, repr=False)
class PruningFrontier(Result):
    """The curves of all shares kept, their lower envelope, and whether it beats no pruning.

    `table` has one row a number of kept examples on a grid: `best` (the share of lowest error),
    `frontier` and `unpruned` with their intervals, `gain` (log of frontier over unpruned; below 0
    pruning wins) with its interval and the probability that it wins. `exponents` has one row for
    each share, and one for the frontier, with intervals.
    """

    kind: ClassVar[str] = "pruning_frontier"
    table: pd.DataFrame
    exponents: pd.DataFrame
    runs: pd.DataFrame
    law: str
    confidence_level: float
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def summary(self) -> str:
        """Return the verdict, the exponents and the frontier as text."""
        last = self.table.iloc[-1]
        verdict = (
            f"At {last['n']:.4g} kept examples the best share is {percent(last['best'])}: error "
            f"{last['frontier']:.4g} against {last['unpruned']:.4g} for as many unpruned ones "
            f"({np.exp(last['gain']) - 1:+.1%}, {percent(self.confidence_level)} from "
            f"{np.exp(last['ci_lower']) - 1:+.1%} to {np.exp(last['ci_upper']) - 1:+.1%}); pruning "
            f"wins there with probability {last['probability']:.2f}."
        )
        shown = self.exponents.to_string(index=False, float_format="{:.3f}".format)
        return with_notes(f"{verdict}\n\n{shown}", self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return the frontier, one row a number of kept examples."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return frontier, exponents and runs."""
        return {
            "params": {}, "law": self.law, "confidence_level": self.confidence_level,
            "frontier": self.table.to_dict("records"),
            "exponents": self.exponents.to_dict("records"), "runs": self.runs.to_dict("records"),
        }  # fmt: skip

    @classmethod
    def restore(
        cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> PruningFrontier:
        """Return the frontier that `save` wrote."""
        frontier, exponents, runs = (
            pd.DataFrame(values[name]) for name in ("frontier", "exponents", "runs")
        )
        return cls(
            frontier, exponents, runs, values["law"], values["confidence_level"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw all runs by share, the unpruned curve and the frontier with its interval."""
        import matplotlib as mpl

        from scalekit.axes import BLUE, GREY, new_axes

        ax = new_axes(ax)
        shares = sorted(self.runs["fraction"].unique())
        for k, share in enumerate(shares):
            part = self.runs[self.runs["fraction"] == share]
            colour = mpl.colormaps["viridis"](k / max(len(shares) - 1, 1) * 0.9)
            ax.plot(part["n"], part["error"], ".", color=colour, label=f"{percent(share)} kept")
        table = self.table
        ax.plot(table["n"], table["unpruned"], color=GREY, ls="--", label="unpruned, fitted")
        ax.plot(table["n"], table["frontier"], color=BLUE, label="frontier")
        ax.fill_between(table["n"], table["frontier_lower"], table["frontier_upper"], color=BLUE,
                        alpha=0.2, lw=0)  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="kept examples", ylabel="error")
        ax.set_title("Is pruning beating the power law?", fontsize="medium")
        ax.legend(fontsize="small", frameon=False)
        return ax


def pruning_frontier(
    runs: pd.DataFrame,
    *,
    law: str = "power",
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> PruningFrontier:
    """Fit error against kept examples for each share kept, and compare their lower envelope.

    `runs` has columns `fraction` (the share kept, 1 for unpruned), `n` (how many are kept) and
    `error`; several seeds a cell are welcome. Each share gets `law` through `scalekit.fit`; shares
    are independent trainings, so their draws are paired at random. The frontier is the lowest
    curve at each n, chosen anew in every draw.

    Raises InputError where the unpruned runs are missing, or a share has too few sizes.

    >>> n = np.geomspace(100, 10000, 6)
    >>> runs = pd.concat([pd.DataFrame({"fraction": f, "n": n, "error": 3 * n**-b})
    ...                   for f, b in ((1.0, 0.3), (0.5, 0.35))])
    >>> pruning_frontier(runs).table["best"].iloc[-1]
    np.float64(0.5)
    """
    check_level(confidence_level)
    for name in ("fraction", "n", "error"):
        if name not in runs:
            raise ColumnNotFoundError(
                f"runs needs columns fraction, n and error; it has {', '.join(map(str, runs))}."
            )
    if not np.isclose(runs["fraction"], 1).any():
        raise InputError("runs has no unpruned rows (fraction 1) to compare with.")
    generator = as_generator(rng)
    fits: dict[float, Fit] = {}
    for share, part in runs.groupby("fraction"):
        if part["n"].nunique() < 3:
            raise InputError(
                f"fraction {share} has {part['n'].nunique()} size(s); a curve needs three."
            )
        data = {"samples": part["n"].to_numpy(float), "loss": part["error"].to_numpy(float)}
        fits[float(str(share))] = fit(data, law, rng=generator)
    low = max(part["n"].min() for _, part in runs.groupby("fraction"))
    high = max(part["n"].max() for _, part in runs.groupby("fraction"))
    grid = np.geomspace(low, high, GRID)
    shares = sorted(fits)
    centre = np.stack([fits[s].predict(samples=grid).table["predicted"] for s in shares])
    draws = _draws(fits, shares, grid, generator)
    whole = shares.index(1.0)
    best = centre.argmin(axis=0)
    lowest = draws.min(axis=0)
    gain = np.log(lowest) - np.log(draws[whole])
    tail = (1 - confidence_level) / 2
    ends = [tail, 1 - tail]
    lower, upper = np.quantile(gain, ends, axis=0)
    frontier = np.quantile(lowest, ends, axis=0)
    table = pd.DataFrame({
        "n": grid, "best": np.array(shares)[best], "frontier": centre.min(axis=0),
        "frontier_lower": frontier[0], "frontier_upper": frontier[1], "unpruned": centre[whole],
        "gain": np.log(centre.min(axis=0) / centre[whole]), "ci_lower": lower, "ci_upper": upper,
        "probability": (gain < 0).mean(axis=0),
    })  # fmt: skip
    slopes = {f"{percent(s)} kept": _slope(draws[k], grid, centre[k]) for k, s in enumerate(shares)}
    slopes["frontier"] = _slope(lowest, grid, centre.min(axis=0))
    exponents = pd.DataFrame(
        [(name, value, *np.quantile(drawn, ends)) for name, (value, drawn) in slopes.items()],
        columns=["curve", "exponent", "ci_lower", "ci_upper"],
    )
    beyond = [s for s in shares if runs.loc[runs["fraction"] == s, "n"].max() < 0.99 * high]
    notes = tuple(
        note for found in fits.values() for note in found.notes if note.severity == "error"
    )
    if beyond:
        notes += (
            Note("drawn_on", "info", f"The curves of {', '.join(map(percent, beyond))} kept "
                 "are drawn on to the largest number of examples."),
        )  # fmt: skip
    return PruningFrontier(
        table, exponents, runs[["fraction", "n", "error"]].reset_index(drop=True), law,
        confidence_level, notes,
        Provenance(source="the runs", n_rows=len(runs), seed=seed_of(rng)),
    )  # fmt: skip


def _draws(
    fits: Mapping[float, Fit], shares: list[float], grid: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return curves (shares, draws, grid) of the fits' bootstrap draws, paired at random."""
    count = min(len(fits[share].draws) for share in shares)
    curves = []
    for share in shares:
        found = fits[share]
        drawn = found.draws[rng.permutation(len(found.draws))[:count]]
        curves.append(found.law.model.value(drawn, {"samples": grid[None]}))
    return np.stack(curves)


def _slope(draws: np.ndarray, grid: np.ndarray, centre: np.ndarray) -> tuple[float, np.ndarray]:
    """Return minus the mean slope in logs over the grid, and that of every draw."""
    span = np.log(grid[-1] / grid[0])
    return float(np.log(centre[0] / centre[-1]) / span), np.log(draws[:, 0] / draws[:, -1]) / span
