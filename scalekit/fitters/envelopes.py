"""The compute frontier as the envelope of training curves: the lowest loss at each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import FitError, InputError
from scalekit.fitters.exponents import exponent_interval
from scalekit.fitters.fitted import Fit
from scalekit.fitters.fitting import RESAMPLES, fit
from scalekit.fitters.isoflops import FEWEST_BUDGETS
from scalekit.fitters.pooling import pooling_notes
from scalekit.fitters.problem import Problem
from scalekit.fitters.solver import solve
from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, check_level, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.tables import RunTable, check_runs
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BUDGETS = 96  # log-spaced budgets at which the curves are compared
FEWEST_SIZES = 4
BELOW = 20.0  # how much dearer it is for the law to lie above the envelope than below


@dataclass(frozen=True, eq=False, repr=False)
class Envelope(Result):
    """The envelope of training curves, the best size along it, and the law of the best loss.

    `table` has one row a budget: `flops, params, tokens, loss` of the best run there. `exponents`
    are those of params and tokens in the budget; `loss_fit` is the power law with a constant of
    the envelope's loss, held below it; `curves` are the logged points.
    """

    table: pd.DataFrame
    exponents: pd.DataFrame
    loss_fit: Fit
    curves: pd.DataFrame
    confidence_level: float
    interval_method: str
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "envelope"

    def exponent(self, name: str = "params") -> Interval:
        """Return the interval of the exponent of "params" or "tokens"."""
        return exponent_interval(self.exponents, name, self.confidence_level, self.interval_method)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a budget of the envelope."""
        return self.table.copy()

    def payload(self) -> dict[str, Any]:
        """Return exponents, the law of the loss and the envelope as plain values."""
        return {
            "params": {f"{n}_exponent": row for n, row in self.exponents.T.to_dict().items()}
            | {f"loss.{n}": row for n, row in self.loss_fit.payload()["params"].items()},
            "confidence_level": self.confidence_level,
            "interval_method": self.interval_method,
            "table": self.table.to_dict("records"),
            "loss_fit": self.loss_fit.to_dict(),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fit's arrays and the curves, which `save` keeps beside the JSON."""
        return {f"fit_{name}": array for name, array in self.loss_fit.arrays().items()} | {
            f"curve_{name}": self.curves[name].to_numpy(float)
            if name != "run"
            else self.curves[name].astype(str).to_numpy(dtype=np.str_)
            for name in self.curves
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Envelope:
        """Return the envelope that `save` wrote."""
        rows = {
            name.removesuffix("_exponent"): row
            for name, row in values["params"].items()
            if name.endswith("_exponent")
        }
        own = {key[4:]: array for key, array in arrays.items() if key.startswith("fit_")}
        return cls(
            pd.DataFrame(values["table"]).astype(float),
            pd.DataFrame.from_dict(rows, orient="index").astype(float),
            Fit.restore(values["loss_fit"], own),
            pd.DataFrame({k[6:]: a for k, a in arrays.items() if k.startswith("curve_")}),
            values["confidence_level"],
            values["interval_method"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def summary(self) -> str:
        """Return the exponents and the law of the loss in sentences."""
        row, law = self.exponents.loc["params"], self.loss_fit.params
        alpha = self.loss_fit.interval("alpha")
        text = (
            f"Along the envelope of {self.curves['run'].nunique()} training curves the best model "
            f"grows as C^{row['estimate']:.3f} ({percent(self.confidence_level)} between "
            f"{row['ci_lower']:.3f} and {row['ci_upper']:.3f}); its loss falls towards "
            f"{law['E']:.4g} as C^-{law['alpha']:.3f} {alpha}.\n"
            f"intervals: {self.interval_method}"
        )
        return with_notes(text, self.notes)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the training curves, their envelope and the law of its loss."""
        from scalekit.fitters.frontier_plots import plot_envelope

        return plot_envelope(self, ax)


def envelope(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    *,
    resamples: int = RESAMPLES,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Envelope:
    """Find the compute frontier of training curves: best loss and best size at every budget.

    `runs` has one row a logged step, with columns `run, params, flops, loss` (or tokens for
    flops; C = 6ND). At each of a row of budgets the run of lowest loss is taken, its loss
    interpolated in log-log between logged steps; budgets where that is the smallest or the
    largest model that was trained so far are left out, since the best might lie beyond. A line
    log N* = a log C + b and the law E + A / C^alpha, held below the envelope, are fitted to it.
    Intervals come from resampling whole runs, with the envelope taken anew in each.

    Raises FitError where fewer than four sizes or three budgets are left.
    Kaplan et al. 2020, arXiv:2001.08361; Henighan et al. 2020, arXiv:2010.14701, section 2.2;
    Hoffmann et al. 2022, arXiv:2203.15556, approach 1.
    """
    level = check_level(confidence_level)
    frame, source, provenance, notes = _frame_of(runs)
    sizes = frame.groupby("run", sort=False)["params"].first().to_numpy()
    if len(np.unique(sizes)) < FEWEST_SIZES:
        raise FitError(
            f"{source} has curves of {len(np.unique(sizes))} model sizes; an envelope needs "
            f"{FEWEST_SIZES} or more."
        )
    grid, losses = _curves_on_grid(frame)
    counts = np.ones((1, len(sizes)))
    generator = as_generator(rng)
    drawn = generator.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), resamples)
    best, inner = _lowest(losses, np.log(sizes), np.concatenate([counts, drawn]))
    used = inner[0]
    if used.sum() < FEWEST_BUDGETS or len(np.unique(sizes[best[0, used]])) < FEWEST_BUDGETS:
        raise FitError(
            f"{source}: the best model is the smallest or the largest one trained at nearly every "
            "budget, so the curves do not enclose the frontier. Add smaller and larger models."
        )
    slopes = _slopes(np.log(grid), np.log(sizes)[best], inner)
    tail = (1 - level) / 2
    low, high = np.nanquantile(slopes[1:], [tail, 1 - tail])
    exponents = pd.DataFrame.from_dict(
        {
            "params": {"estimate": slopes[0], "ci_lower": low, "ci_upper": high},
            "tokens": {"estimate": 1 - slopes[0], "ci_lower": 1 - high, "ci_upper": 1 - low},
        },
        orient="index",
    )
    table = pd.DataFrame({"flops": grid, "params": sizes[best[0]],
                          "tokens": grid / (6 * sizes[best[0]]),
                          "loss": losses[best[0], np.arange(len(grid))]})[used]  # fmt: skip
    words = f"bootstrap of whole runs, {resamples} resamples, the envelope taken anew in each"
    loss_fit = _loss_fit(table, losses, best[1:], inner[1:], used, grid, level, words)
    return Envelope(
        table.reset_index(drop=True), exponents, loss_fit,
        frame[["run", "params", "flops", "loss"]].reset_index(drop=True), level, words,
        (*notes, *_notes(used, sizes[best[0, used]])),
        replace(provenance, seed=seed_of(rng)),
    )  # fmt: skip


def _frame_of(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
) -> tuple[pd.DataFrame, str, Provenance, tuple[Note, ...]]:
    if isinstance(runs, RunTable):
        frame, source = runs.frame, runs.provenance.source
        notes = tuple(note for note in runs.notes if note.code != "several_steps")
    else:
        frame, source, notes = pd.DataFrame(runs), "the table", ()
    if "flops" not in frame and {"params", "tokens"} <= set(frame):
        frame = frame.assign(flops=6 * frame["params"] * frame["tokens"])
    if "run" not in frame:
        raise InputError(f"{source} has no column 'run', so its training curves are unknown.")
    table = check_runs(frame, scales=["flops", "params"], source=source)
    kept = table.frame
    if (kept["loss"] <= 0).any():
        raise InputError(f"{source}: an envelope is taken in log loss, which must be positive.")
    said = {"several_steps", *(note.code for note in notes)}
    told = [note for note in table.notes if note.code not in said]
    return kept, source, table.provenance, (*notes, *told, *pooling_notes(kept, runs))


def _curves_on_grid(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return budgets, and each run's loss there (runs, budgets); infinite where it was not run."""
    curves = [rows.sort_values("flops") for _, rows in frame.groupby("run", sort=False)]
    lows = [np.log(curve["flops"].iloc[0]) for curve in curves]
    highs = [np.log(curve["flops"].iloc[-1]) for curve in curves]
    logs = np.linspace(np.sort(lows)[1], np.sort(highs)[-2], BUDGETS)
    losses = np.stack([
        np.exp(np.interp(logs, np.log(curve["flops"]), np.log(curve["loss"]),
                         left=np.inf, right=np.inf))
        for curve in curves
    ])  # fmt: skip
    return np.exp(logs), losses


def _lowest(
    losses: np.ndarray, log_sizes: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return, per resample and budget, the run of lowest loss and whether sizes enclose it."""
    best = np.empty((len(counts), losses.shape[1]), dtype=int)
    inner = np.zeros(best.shape, dtype=bool)
    there = np.isfinite(losses)
    for k, drawn in enumerate(counts > 0):
        part = np.where(drawn[:, None], losses, np.inf)
        best[k] = part.argmin(axis=0)
        alive = there & drawn[:, None]
        size = log_sizes[best[k]]
        smaller = (alive & (log_sizes[:, None] < size - 1e-9)).any(axis=0)
        larger = (alive & (log_sizes[:, None] > size + 1e-9)).any(axis=0)
        inner[k] = smaller & larger & np.isfinite(part.min(axis=0))
    return best, inner


def _slopes(logs: np.ndarray, sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the slope of log size in log budget, one a resample; NaN where nothing is left."""
    with np.errstate(all="ignore"):
        total = weights.sum(axis=1, keepdims=True)
        x = logs - (weights * logs).sum(axis=1, keepdims=True) / total
        y = sizes - (weights * sizes).sum(axis=1, keepdims=True) / total
        return np.asarray((weights * x * y).sum(axis=1) / (weights * x**2).sum(axis=1))


def _loss_fit(
    table: pd.DataFrame, losses: np.ndarray, best: np.ndarray, inner: np.ndarray,
    used: np.ndarray, grid: np.ndarray, level: float, words: str,
) -> Fit:  # fmt: skip
    """Return the law of the envelope's loss, held below it, with draws from the resamples."""
    found = fit(
        table[["flops", "loss"]], "power_constant", along="flops", interval="none",
        objective="log_squares", overestimate_weight=BELOW, confidence_level=level,
    )  # fmt: skip
    rows = np.flatnonzero(used)
    lowest = losses[best[:, rows], rows]
    weights = (inner[:, rows] & np.isfinite(lowest)).astype(float)
    enough = weights.sum(axis=1) > len(found.theta)
    target = np.where(weights > 0, lowest, 1.0)[enough]
    problem = Problem.of(found.law.model, {"flops": grid[rows]}, target, found.objective)
    start = np.repeat(found.theta[None], len(target), axis=0)
    draws = solve(problem, start, weights[enough])
    return replace(
        found, draws=draws.theta[np.isfinite(draws.value)], interval_method=words,
        notes=tuple(n for n in found.notes if n.code not in ("depends_on_choices",)),
    )  # fmt: skip


def _notes(used: np.ndarray, sizes: Sequence[float] | np.ndarray) -> list[Note]:
    notes = []
    if used.mean() < 0.9:
        notes.append(
            Note(
                "edges_left_out",
                "info",
                f"{int((~used).sum())} of {len(used)} budgets are left out, since there the best "
                "model is the smallest or the largest one trained.",
            )
        )
    if len(np.unique(sizes)) < 6:
        notes.append(
            Note(
                "few_sizes",
                "warning",
                f"Only {len(np.unique(sizes))} sizes ever are the best; the exponent hangs on the "
                "grid of sizes. Train sizes in between.",
            )
        )
    return notes
