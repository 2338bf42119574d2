"""`mislabelled`: which labels are probably wrong, by four rules and their vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.selectors.pruning.opening import open_each
from scalekit.selectors.scores.table import ScoreTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METHODS = {"gmm": "loss", "aum": "aum", "pvi": "pvi"}  # method -> the score that it reads
THRESHOLD = 0.5
MOST_SHOWN = 5
AUM_PERCENTILE = 99.0  # of the threshold samples' AUM (Pleiss et al. 2020)


@dataclass(frozen=True, eq=False, repr=False)
class Suspects(Result):
    """Suspected labels: `table` has one row an example: id, label, score, probability, suspect.

    `score` is what the rule read (loss, aum or pvi; a vote has none). `probability` is that of a
    wrong label under the method's own model (two normal modes of the loss); for rules without one
    it is 1 or 0, and for the vote the share of rules.
    """

    kind: ClassVar[str] = "suspects"
    table: pd.DataFrame
    method: str
    threshold: float
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def ids(self) -> np.ndarray:
        """The ids of suspected labels, the most suspect first."""
        found = self.table[self.table["suspect"]]
        keys = [-found["probability"].to_numpy(float)]
        if "score" in found:  # probabilities reach 1: the score tells these apart
            keys.insert(0, found["score"].to_numpy(float) * (-1 if self.method == "gmm" else 1))
        return found["id"].to_numpy()[np.lexsort(keys)]

    def summary(self) -> str:
        """Return how many labels are suspected, in which classes, and how many are expected."""
        table = self.table
        lines = [
            f"{int(table['suspect'].sum()):,} of {len(table):,} labels are suspected "
            f"({table['suspect'].mean():.1%}) by {self.method}"
        ]
        if self.method == "gmm":
            expected = table["probability"].sum()
            precision = table.loc[table["suspect"], "probability"].mean()
            lines.append(f"its model expects {expected:.0f} wrong ones, and {precision:.0%} of the "
                         "suspects to be wrong")  # fmt: skip
        if table["suspect"].any():
            first = list(map(str, self.ids[:MOST_SHOWN]))
            more = ", ..." if len(self.ids) > MOST_SHOWN else ""
            lines.append(f"most suspect first: {', '.join(first)}{more}")
        if "label" in table:
            shares = table.groupby("label")["suspect"].mean().sort_values(ascending=False).head(5)
            lines.append("most by class: " + ", ".join(f"{k} {v:.1%}" for k, v in shares.items()))
        return with_notes("\n".join(lines), self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row an example."""
        return self.table.copy()

    def to_cleanlab(self) -> pd.DataFrame:
        """Return the table as cleanlab's Datalab reports label issues, indexed by id.

        Columns is_label_issue, label_score (small is suspect), given_label.
        """
        given = self.table.get("label")
        return pd.DataFrame({
            "is_label_issue": self.table["suspect"].to_numpy(),
            "label_score": 1 - self.table["probability"].to_numpy(),
            "given_label": None if given is None else given.to_numpy(),
        }, index=pd.Index(self.table["id"], name="id"))  # fmt: skip

    def payload(self) -> dict[str, Any]:
        """Return the method and the suspects."""
        return {"params": {}, "method": self.method, "threshold": self.threshold,
                "n_examples": len(self.table), "columns": list(self.table.columns),
                "suspects": self.ids.tolist()}  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the table's columns."""
        columns = {str(name): self.table[name].to_numpy() for name in self.table}
        return {k: v.astype(str) if v.dtype.kind == "O" else v for k, v in columns.items()}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Suspects:
        """Return what `save` wrote."""
        return cls(
            pd.DataFrame({name: arrays[name] for name in values["columns"]}), values["method"],
            values["threshold"], tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the probabilities of a wrong label, sorted."""
        from scalekit.axes import BLUE, GREY, new_axes

        ax = new_axes(ax)
        values = np.sort(self.table["probability"].to_numpy())[::-1]
        ax.plot(np.arange(1, len(values) + 1) / len(values), values, color=BLUE)
        ax.axhline(self.threshold, color=GREY, ls=":")
        ax.set(
            xlabel="share of examples, most suspect first", ylabel="probability of a wrong label"
        )
        ax.set_title(f"{int(self.table['suspect'].sum())} suspected labels ({self.method})",
                     fontsize="medium")  # fmt: skip
        return ax


def mislabelled(
    scores: ScoreTable | pd.DataFrame | str | Path,
    method: str = "gmm",
    *,
    threshold: float = THRESHOLD,
    threshold_samples: Any = None,
) -> Suspects:
    """Say which labels are probably wrong.

    "gmm": two normal modes of the loss, scaled to [0, 1]; the probability of the high one (Li et
    al. 2020; Arazo et al. 2019). "aum": an area under the margin below the 99th percentile of
    `threshold_samples`, ids that were trained with an extra, false class (Pleiss et al. 2020).
    "pvi": less than zero pointwise information about the label (Ethayarajh et al. 2022). "vote":
    the share of these that the table has scores for. Needs columns id and loss, aum or pvi.

    Raises ColumnNotFoundError where the score is missing, InputError for unknown methods.

    >>> loss = np.r_[np.random.default_rng(0).gamma(1, 0.1, 90), np.full(10, 4.0)]
    >>> mislabelled(pd.DataFrame({"id": range(100), "loss": loss})).ids.tolist()[:2]
    [90, 91]
    """
    opened = open_each(scores)[0]
    frame = opened.frame
    if method not in (*METHODS, "vote"):
        raise InputError(
            f"There is no method '{method}'. {did_you_mean(method, [*METHODS, 'vote'])}"
        )
    notes = list(opened.notes)
    if method == "vote":
        usable = [m for m, column in METHODS.items() if column in frame
                  and (m != "aum" or threshold_samples is not None)]  # fmt: skip
        if len(usable) < 2:
            raise InputError(
                "A vote needs two of: loss, pvi, and aum with threshold_samples= "
                f"(--threshold-samples). {opened.name} has {', '.join(map(str, frame))}."
            )
        votes = [_probability(frame, m, threshold_samples) >= threshold for m in usable]
        probability = np.mean(votes, axis=0)
        notes.append(Note("vote", "info", f"Rules that vote: {', '.join(usable)}."))
    else:
        probability = _probability(frame, method, threshold_samples)
        if method == "gmm":
            told = (
                "Two modes are always found; where no label is wrong, hard examples are one, and "
                "fewer suspects are wrong than the modes expect. Look at some."
            )
            notes.append(Note("two_modes", "info", told))
    table = pd.DataFrame({"id": frame["id"].to_numpy(), "probability": probability,
                          "suspect": probability >= threshold})  # fmt: skip
    if method != "vote":
        table.insert(1, "score", frame[METHODS[method]].to_numpy(float))
    if "label" in frame:
        table.insert(1, "label", frame["label"].to_numpy())
    return Suspects(table, method, threshold, tuple(notes),
                    Provenance(source=opened.name, n_rows=len(table)))  # fmt: skip


def _advice(column: str) -> str:
    """Return where a score that is not there comes from."""
    if column == "loss":
        return "Score it first, with --scores loss (in Python score(..., scores=['loss']))."
    return "`scalekit scores` says what it is made from."


def _probability(frame: pd.DataFrame, method: str, threshold_samples: Any) -> np.ndarray:
    column = METHODS[method]
    if column not in frame:
        raise ColumnNotFoundError(
            f"The method '{method}' reads the score '{column}', which the table has not. "
            f"{did_you_mean(column, map(str, frame))} {_advice(column)}"
        )
    values = frame[column].to_numpy(float)
    if not np.isfinite(values).all():
        first = frame["id"].iloc[np.flatnonzero(~np.isfinite(values))[0]]
        raise InputError(f"The score '{column}' of the id {first} is not finite.")
    if method == "gmm":
        return high_mode(values)
    if method == "pvi":
        return np.asarray((values < 0).astype(float))
    if threshold_samples is None:
        raise InputError(
            "The method 'aum' needs threshold_samples= (--threshold-samples, a table with their "
            "ids): examples that were trained with an extra, false class, so that their AUM shows "
            "what a wrong label looks like."
        )
    false = frame["id"].isin(np.asarray(threshold_samples)).to_numpy()
    if not false.any():
        raise InputError("None of threshold_samples is among the ids of the table.")
    limit = np.percentile(values[false], AUM_PERCENTILE)
    return np.where(false, 0.0, (values <= limit).astype(float))


def high_mode(loss: np.ndarray) -> np.ndarray:
    """Return the probability (n,) that each loss comes from the higher of two normal modes.

    Losses below the mean of the lower mode count as that mean: the tail of a wide high mode would
    else claim the smallest losses.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    span = float(np.ptp(loss))
    scaled = ((loss - loss.min()) / (span if span > 0 else 1.0))[:, None]
    model = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations are the method's
        model.fit(scaled)
    placed = np.maximum(scaled, model.means_.min())
    return np.asarray(model.predict_proba(placed)[:, int(model.means_.argmax())])
