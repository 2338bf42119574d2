"""Curricula: how many examples a trainer may see when, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.seeds import RandomState, as_generator
from scalekit.selectors.pruning.tables import read_scores
from scalekit.selectors.scores.table import ScoreTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch.utils.data import Sampler

PACINGS = ("linear", "quadratic", "root", "exponential", "logarithmic", "step", "standard")
ORDERS = ("curriculum", "anti", "random")


def pacing(kind: str, progress: Any, full_at: float = 0.8, start: float = 0.2) -> np.ndarray:
    """Return the share of the data in use at `progress` (0 to 1) of training.

    All of it from `full_at` on; `start` at the beginning. Source: Wu et al. 2021, "When do
    curricula work?", table of pacing functions.

    >>> pacing("linear", [0, 0.4, 0.8, 1.0]).round(2).tolist()
    [0.2, 0.6, 1.0, 1.0]
    """
    if kind not in PACINGS:
        raise InputError(f"There is no pacing '{kind}'. {did_you_mean(kind, PACINGS)}")
    if not (0 < full_at <= 1 and 0 < start <= 1):
        raise InputError(
            f"full_at and start are shares above 0 and at most 1; got {full_at:g} and {start:g}."
        )
    done = np.clip(np.asarray(progress, dtype=float) / full_at, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        rise = {
            "linear": done,
            "quadratic": done**2,
            "root": np.sqrt(done),
            "exponential": np.expm1(10 * done) / np.expm1(10.0),
            "logarithmic": 1 + 0.1 * np.log(done + np.exp(-10.0)),
            "step": np.floor(done),
            "standard": np.ones_like(done),
        }[kind]
    return np.where(done >= 1, 1.0, np.clip(start + (1 - start) * rise, start, 1.0))


@dataclass(frozen=True, eq=False, repr=False)
class Curriculum(Result):
    """An order of examples and a pacing over `steps` steps.

    `order` (n,) are rows from the first shown to the last; `ids` (n,) their ids in table order.
    """

    kind: ClassVar[str] = "curriculum"
    ids: np.ndarray
    order: np.ndarray
    labels: np.ndarray | None
    steps: int
    batch: int
    pacing: str
    ordering: str
    full_at: float
    start: float
    seed: int | None = 0
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def available(self, step: Any) -> np.ndarray:
        """Return how many examples may be drawn from at a step: at least one batch, at most all."""
        share = pacing(self.pacing, np.asarray(step) / self.steps, self.full_at, self.start)
        return np.clip(np.ceil(share * len(self.order)), min(self.batch, len(self.order)),
                       len(self.order)).astype(int)  # fmt: skip

    def summary(self) -> str:
        """Return the schedule in a few steps."""
        table = self.to_frame().iloc[:: max(self.steps // 5, 1)]
        return with_notes(
            f"{self.ordering} order, {self.pacing} pacing, {self.steps} steps of {self.batch}\n\n"
            + table.to_string(index=False, float_format="{:.3f}".format),
            self.notes,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step: how many examples are in use, their share, expected epochs."""
        step = np.arange(self.steps)
        count = self.available(step)
        return pd.DataFrame({
            "step": step, "examples": count, "share": count / len(self.order),
            "epochs_of_first": np.cumsum(self.batch / count),
        })  # fmt: skip

    def payload(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            "params": {}, "steps": self.steps, "batch": self.batch, "pacing": self.pacing,
            "ordering": self.ordering, "full_at": self.full_at, "start": self.start,
            "n_examples": len(self.order), "labelled": self.labels is not None,
        }  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return ids, order and labels."""
        kept = {"ids": self.ids, "order": self.order}
        kept |= {} if self.labels is None else {"labels": self.labels}
        return {k: v.astype(str) if v.dtype.kind == "O" else v for k, v in kept.items()}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Curriculum:
        """Return what `save` wrote."""
        told = Provenance.from_dict(values["provenance"])
        return cls(
            arrays["ids"], arrays["order"], arrays.get("labels"), values["steps"], values["batch"],
            values["pacing"], values["ordering"], values["full_at"], values["start"], told.seed,
            tuple(Note(**note) for note in values["notes"]), told,
        )  # fmt: skip

    def sampler(self, start_step: int = 0) -> Sampler[list[int]]:
        """Return a batch sampler for a DataLoader: rows of each step, from `start_step` on.

        The batch of a step depends on the seed and the step alone, so a run that resumes at a step
        sees what it would have seen. Within a batch no example repeats.
        """
        from torch.utils.data import Sampler

        curriculum = self

        class Batches(Sampler[list[int]]):
            def __iter__(self) -> Iterator[list[int]]:
                for step in range(start_step, curriculum.steps):
                    yield curriculum.rows_at(step).tolist()

            def __len__(self) -> int:
                return curriculum.steps - start_step

        return Batches()

    def rows_at(self, step: int) -> np.ndarray:
        """Return the rows of the batch at a step, drawn from the examples in use."""
        seed = [self.seed or 0, step]
        pool = self.order[: int(self.available(step))]
        return np.random.default_rng(seed).choice(
            pool, size=min(self.batch, len(pool)), replace=False
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the share of examples in use over training."""
        from scalekit.axes import BLUE, new_axes

        ax = new_axes(ax)
        table = self.to_frame()
        ax.plot(table["step"], table["share"], color=BLUE)
        ax.set(xlabel="step", ylabel="share of examples in use", ylim=(0, 1.05))
        ax.set_title(f"{self.ordering} order, {self.pacing} pacing", fontsize="medium")
        return ax


def curriculum(
    scores: ScoreTable | pd.DataFrame | str | Path,
    steps: int,
    *,
    by: str | None = None,
    order: str = "curriculum",
    pace: str = "linear",
    full_at: float = 0.8,
    start: float = 0.2,
    batch: int = 128,
    balanced: bool = True,
    higher_is: str | None = None,
    rng: RandomState = 0,
) -> Curriculum:
    """Order examples by a score and pace them into training.

    `order`: "curriculum" shows the easy first, "anti" the hard, "random" draws an order once (the
    control that tells order from pacing). With labels and `balanced` the classes are interleaved,
    so that every beginning of the order has all in their proportion. `pace`, `full_at`, `start` as
    in `pacing`; "standard" uses everything always. Ties are drawn.

    A note tells what is known: over standard training, curricula gained where training is short or
    labels are noisy, and else not (Wu et al. 2021). Raises InputError as `prune` does.

    >>> table = pd.DataFrame({"id": range(100), "el2n": np.linspace(0, 1, 100)})
    >>> made = curriculum(table, 10, by="el2n", batch=5)
    >>> int(made.available(0)), made.order[:3].tolist()
    (20, [0, 1, 2])
    """
    if order not in ORDERS:
        raise InputError(f"There is no order '{order}'. {did_you_mean(order, ORDERS)}")
    if steps < 1 or batch < 1:
        raise InputError(f"steps and batch must be 1 or more; got {steps} and {batch}.")
    pacing(pace, 0.0, full_at, start)
    generator = as_generator(rng)
    found = read_scores(scores, by, higher_is, None, generator)
    rank = {"curriculum": found.hardness, "anti": -found.hardness,
            "random": generator.random(len(found.ids))}[order]  # fmt: skip
    shuffled = generator.permutation(len(rank))
    rows = shuffled[np.argsort(rank[shuffled], kind="stable")]
    if balanced and found.labels is not None:
        rows = _interleave(rows, found.labels)
    note = Note(
        "known_gains", "info",
        "In controlled comparisons curricula beat standard training with little time or noisy "
        "labels, and not otherwise (Wu et al. 2021). Train order='random' (--order random) beside.",
    )  # fmt: skip
    seed = int(generator.integers(2**31))
    return Curriculum(
        found.ids, rows, found.labels, steps, batch, pace, order, full_at, start, seed, (note,),
        replace(found.provenance, seed=seed),
    )  # fmt: skip


def _interleave(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return rows such that every beginning has the classes in their proportion."""
    place = np.empty(len(rows))
    for label in np.unique(labels):
        mine = np.flatnonzero(labels[rows] == label)
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return np.asarray(rows[np.argsort(place, kind="stable")])
