"""What recorded training dynamics say: forgetting, cartography, AUM, EL2N over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from scalekit.errors import InputError, OutputError
from scalekit.notes import Note
from scalekit.results import Provenance, Result, hash_frame, with_notes
from scalekit.selectors.scores.recorder import COLUMNS, RECORDED
from scalekit.selectors.scores.table import ScoreTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NeverLearned = Literal["inf", "presentations", "thousand"]


@dataclass(frozen=True, repr=False)
class Dynamics(Result):
    """Recorded dynamics: one row per example and step (`run` tells several recordings apart)."""

    kind: ClassVar[str] = "dynamics"
    frame: pd.DataFrame
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def scores(self, never_learned: NeverLearned = "inf", el2n_epochs: int = 10) -> ScoreTable:
        """Return the scores of the dynamics; over several runs their mean and standard error.

        `never_learned` is what forgetting says of an example that was never right: infinity
        (Paul et al.), its number of presentations (Toneva et al.) or 1000 (cartography).
        `el2n_mean` is over the first `el2n_epochs` epochs.
        """
        runs = [
            reduce_run(frame, never_learned, el2n_epochs)
            for _, frame in self.frame.groupby("run", sort=True)
        ]
        whole = pd.concat(runs)
        grouped = whole.groupby(level=0)
        mean = grouped.mean()
        notes = self.notes
        if len(runs) > 1:
            seen = grouped.size()
            error = grouped.std(ddof=1).div(np.sqrt(seen), axis=0)
            mean = mean.join(error.add_suffix("_se"))
            message = f"Means over {len(runs)} runs; `_se` is their standard error."
            notes += (Note("runs", "info", message),)
        return ScoreTable(frame=mean.rename_axis("id").reset_index(), notes=notes,
                          provenance=self.provenance)  # fmt: skip

    def matrix(self, column: str = "correct", run: int | None = None) -> pd.DataFrame:
        """Return `column` as a matrix: one row per presentation, one column per example.

        Presentations are counted for each example, so that epochs in any order line up.
        """
        frame = self.frame if run is None else self.frame[self.frame["run"] == run]
        if len(frame["run"].unique()) > 1:
            raise InputError("There are several runs; say which with run=.")
        ordered = frame.sort_values("step", kind="stable")
        turn = ordered.groupby("id").cumcount()
        return ordered.set_index([turn.rename("turn"), "id"])[column].unstack("id")  # noqa: PD010

    def summary(self) -> str:
        """Return what was recorded as text."""
        frame = self.frame
        text = (
            f"{frame['id'].nunique():,} examples, {frame['run'].nunique()} runs, "
            f"{frame['step'].nunique():,} steps, {len(frame):,} rows"
        )
        return with_notes(text, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per example and step."""
        return self.frame.copy()

    def payload(self) -> dict[str, Any]:
        """Return the counts."""
        return {"n_examples": int(self.frame["id"].nunique()),
                "n_runs": int(self.frame["run"].nunique())}  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the data map: confidence against variability, coloured by correctness."""
        from scalekit.axes import new_axes

        table = self.scores().frame
        axes = new_axes(ax)
        dots = axes.scatter(table["variability"], table["confidence"], c=table["correctness"],
                            s=6, cmap="viridis", vmin=0, vmax=1)  # fmt: skip
        axes.figure.colorbar(dots, ax=axes, label="correctness")
        axes.set(xlabel="variability", ylabel="confidence", ylim=(-0.02, 1.02))
        axes.set_title("top: easy; right: ambiguous; bottom left: hard", fontsize="medium")
        return axes


def read_dynamics(
    folders: str | Path | Sequence[str | Path], dense: bool | None = None
) -> Dynamics:
    """Return what a Recorder wrote, from one folder or one folder a run (several seeds).

    `dense` picks the rows of snapshots (True) or of training batches (False); by default
    snapshots where there are any. Rows that a distributed sampler repeated are dropped, counted.
    """
    given = [folders] if isinstance(folders, (str, Path)) else list(folders)
    frames = []
    for run, folder in enumerate(given):
        files = sorted(Path(folder).glob("dynamics-*.parquet"))
        if not files:
            raise OutputError(f"{folder} holds no recorded dynamics. Close the Recorder first.")
        frame = pd.concat([read_part(file) for file in files], ignore_index=True)
        frames.append(frame.assign(run=run))
    whole = pd.concat(frames, ignore_index=True)
    missing = [name for name in COLUMNS if name not in whole]
    if missing:
        raise OutputError(f"The recorded files lack the columns {missing}.")
    use_dense = bool(whole["dense"].any()) if dense is None else dense
    chosen = whole[whole["dense"] == use_dense]
    once = chosen.drop_duplicates(["run", "id", "step"]).reset_index(drop=True)
    notes: tuple[Note, ...] = ()
    if len(once) < len(chosen):
        notes = (Note("repeated_rows", "info",
                      f"{len(chosen) - len(once)} rows with the same id and step (a distributed "
                      "sampler repeats examples) were dropped."),)  # fmt: skip
    if once.empty:
        raise InputError("No rows are left; there are only "
                         + ("training batches." if use_dense else "snapshots."))  # fmt: skip
    lost = [str(folder) for run, folder in enumerate(given) if run not in set(once["run"])]
    if lost:
        raise InputError(
            f"There are {'snapshots' if use_dense else 'training batches'} in some of the folders, "
            f"but none in {', '.join(lost)}. Runs are compared by rows of one kind: give "
            f"dense={not use_dense}, or leave such folders out."
        )
    finite = np.isfinite(once[list(RECORDED)].to_numpy()).all(axis=1)
    if not finite.all():
        bad = once["id"][~finite]
        once = once.loc[finite].reset_index(drop=True)
        notes += (Note("not_finite", "warning",
                       f"{len(bad)} rows of {bad.nunique()} examples hold NaN or infinite values "
                       "(training diverged?) and are left out."),)  # fmt: skip
    return Dynamics(
        frame=once,
        notes=notes,
        provenance=Provenance(", ".join(map(str, given)), hash_frame(once), len(whole)),
    )


def read_part(path: Path) -> pd.DataFrame:
    """Return one file of a Recorder; raises OutputError where it is damaged."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path} cannot be read as recorded dynamics: {error}. Move it out of the folder to "
            "go on without its rows, or record again."
        ) from error


def reduce_run(
    frame: pd.DataFrame, never_learned: NeverLearned = "inf", el2n_epochs: int = 10
) -> pd.DataFrame:
    """Return the scores of one run, indexed by id, from rows with id, step and the columns."""
    ordered = frame.sort_values(["id", "step"], kind="stable")
    grouped = ordered.groupby("id", sort=True)
    early = ordered[ordered["epoch"] < el2n_epochs].groupby("id")["el2n"].mean()
    found = pd.DataFrame({
        "forgetting": forgetting_events(ordered, never_learned),
        "confidence": grouped["p_true"].mean(),
        "variability": grouped["p_true"].std(ddof=0),
        "correctness": grouped["correct"].mean(),
        "aum": grouped["margin"].mean(),
        "el2n_mean": early,
    })  # fmt: skip
    steps = grouped["loss"].diff().abs()
    found["opposing"] = steps.groupby(ordered["id"]).max().fillna(0.0)
    return found.astype(float)


def forgetting_events(ordered: pd.DataFrame, never_learned: NeverLearned = "inf") -> pd.Series:
    """Return the number of 1 -> 0 changes of `correct` for each id (rows in order of step)."""
    right = ordered["correct"] > 0.5
    lost = right.groupby(ordered["id"]).shift(fill_value=False) & ~right
    events = lost.groupby(ordered["id"]).sum().astype(float)
    counts = right.groupby(ordered["id"]).agg(["sum", "size"])
    values = {"inf": np.inf, "presentations": counts["size"], "thousand": 1000.0}
    if never_learned not in values:
        raise InputError(f"never_learned must be one of {list(values)}; got '{never_learned}'.")
    return events.where(counts["sum"] > 0, values[never_learned])
