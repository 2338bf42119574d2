"""What a sampling schedule is: phases of shares, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.selectors.mixtures.pilots import by_name
from scalekit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.mixtures.sampling import MixtureSampler

MANY_EPOCHS = 4.0


class Phase(NamedTuple):
    """Shares (sources,) up to `end`, a fraction of training."""

    end: float
    shares: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Schedule(Result):
    """A sampling schedule over sources; made by `temperature`, `unimax`, `cooldown`, `phases`.

    `counts` (sources,) is how much there is of each source, `budget` how much is drawn in all, in
    the same unit.
    """

    name: str
    sources: tuple[str, ...]
    counts: np.ndarray
    phases: tuple[Phase, ...]
    budget: float
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "schedule"

    def at(self, progress: float) -> dict[str, float]:
        """Return the share of each source at `progress`, a fraction of training in [0, 1]."""
        if not 0 <= progress <= 1:
            raise InputError(f"progress is {progress:g}; it is a fraction of training, 0 to 1.")
        phase = next((part for part in self.phases if progress < part.end), self.phases[-1])
        return self._by_name(phase.shares)

    @property
    def shares(self) -> dict[str, float]:
        """The shares of a schedule with one phase; raises InputError where there are several."""
        if len(self.phases) > 1:
            raise InputError(f"The schedule '{self.name}' has {len(self.phases)} phases: use "
                             ".at(progress) or .mean_shares.")  # fmt: skip
        return self.at(0)

    def _by_name(self, values: np.ndarray) -> dict[str, float]:
        return dict(zip(self.sources, values.tolist(), strict=True))

    @property
    def lengths(self) -> np.ndarray:
        """The length of each phase as a fraction of training."""
        return np.diff([0.0, *[part.end for part in self.phases]])

    @property
    def mean_shares(self) -> dict[str, float]:
        """The share of each source over the whole training."""
        mean = self.lengths @ np.array([part.shares for part in self.phases])
        return self._by_name(mean)

    def epochs(self, budget: float | None = None) -> dict[str, float]:
        """Return how many times each source is seen when `budget` is drawn (default: its own)."""
        drawn = self.budget if budget is None else budget
        seen = np.array(list(self.mean_shares.values())) * drawn / self.counts
        return self._by_name(seen)

    def loss_weights(self, progress: float = 0.0) -> dict[str, float]:
        """Return the weights of losses that stand in for this sampling (scalarisation).

        Sampling in proportion to the counts and weighting source i's loss by `p_i / natural_i`
        has the same expected gradient (Li et al. 2025, theorem 1); see `variance` for its noise.
        """
        weights = np.array(list(self.at(progress).values())) / self.natural
        return self._by_name(weights)

    @property
    def natural(self) -> np.ndarray:
        """The share of each source in the data."""
        return np.asarray(self.counts / self.counts.sum())

    def variance(
        self, gradient_norms: Mapping[str, float] | None = None, progress: float = 0.0
    ) -> dict[str, float]:
        """Return the second moment of one example's gradient under sampling and under weighting.

        `gradient_norms` is E|g|^2 for each source, as measured (default: equal, which is what
        theorem 2 of Li et al. 2025 assumes). Sampling: sum_i p_i G_i. Weighting: sum_i p_i w_i
        G_i with w_i = p_i / natural_i. Both have the same mean gradient, so that `difference`
        (weighting minus sampling) is the difference of their variances. It can be negative: with
        natural shares (.9, .1), uniform sampling and G = (1, .01) it is .303 - .505.
        """
        shares = np.array(list(self.at(progress).values()))
        norms = np.ones(len(shares))
        if gradient_norms is not None:
            norms = by_name(gradient_norms, self.sources, "gradient_norms")
            if (norms < 0).any():
                raise InputError("gradient_norms are squared norms; they must be zero or more.")
        sampled = float(shares @ norms)
        weighted = float((shares**2 / self.natural) @ norms)
        return {"sampling": sampled, "weighting": weighted, "difference": weighted - sampled,
                "ratio": weighted / sampled if sampled else np.nan}  # fmt: skip

    def sampler(
        self,
        dataset: Mapping[str, Any] | Iterable[str] | Any,
        samples: int | None = None,
        *,
        by: str = "source",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> MixtureSampler:
        """Return a sampler for a torch DataLoader; see `MixtureSampler`.

        `dataset` maps each source to its part (or length) in the order of a ConcatDataset, or
        holds one source name for each example (a sequence, or a column `by`). `samples` is the
        number of draws of all ranks together (default: the number of examples).
        """
        from scalekit.selectors.mixtures.sampling import MixtureSampler, members_by_source

        members = members_by_source(dataset, self.sources, by)
        drawn = sum(map(len, members)) if samples is None else samples
        return MixtureSampler(self.phases, members, drawn, seed, rank, world_size)

    def interleave_probabilities(self, order: Sequence[str], progress: float = 0.0) -> list[float]:
        """Return probabilities for `datasets.interleave_datasets`, in the order of the data sets.

        >>> from scalekit.selectors.mixtures import temperature
        >>> temperature({"en": 3, "sw": 1}, 1).interleave_probabilities(["sw", "en"])
        [0.25, 0.75]
        """
        by_name(dict.fromkeys(order, 1.0), self.sources, "order")
        found = self.at(progress)
        return [found[name] for name in order]

    def config(self, style: str, paths: Mapping[str, str] | None = None) -> str:
        """Return the mixture as other trainers read it, one block for each phase.

        `style` is "megatron" (weights and paths, as after --data-path) or "olmo" (YAML of
        OLMo-core's SourceMixtureConfig). `paths` maps sources to their files.
        """
        from scalekit.selectors.mixtures.sampling import mixture_config

        return mixture_config(self, style, paths)

    def with_epoch_notes(self) -> Schedule:
        """Return the schedule with a note on sources that are repeated often or hardly seen."""
        seen = self.epochs()
        often = {name: count for name, count in seen.items() if count > MANY_EPOCHS}
        if not often:
            return self
        told = ", ".join(f"{name} {format_quantity(count)}" for name, count in often.items())
        note = Note("many_epochs", "warning",
                    f"Seen more than four times at a budget of {format_quantity(self.budget)}: "
                    f"{told}. Beyond about four epochs repeated data is worth less.")  # fmt: skip
        return replace(self, notes=(*self.notes, note))

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each phase and source: share, drawn, epochs so far, loss weight."""
        rows, start = [], 0.0
        so_far = np.zeros(len(self.sources))
        for number, (end, shares) in enumerate(self.phases):
            drawn = shares * (end - start) * self.budget
            so_far = so_far + drawn / self.counts
            for k, name in enumerate(self.sources):
                rows.append({
                    "phase": number + 1, "start": start, "end": end, "source": name,
                    "share": shares[k], "drawn": drawn[k], "epochs_so_far": so_far[k],
                    "loss_weight": shares[k] / self.natural[k],
                })  # fmt: skip
            start = end
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Return shares of each phase, epochs and notes as text."""
        counts = [format_quantity(count) for count in self.counts]
        columns: dict[str, Any] = {"source": self.sources, "count": counts}
        many = len(self.phases) > 3
        shown = (self.phases[0], self.phases[-1]) if many else self.phases
        for part in shown:
            columns[f"to {part.end:.0%}"] = part.shares
        columns["epochs"] = list(self.epochs().values())
        table = pd.DataFrame(columns).to_string(index=False, float_format="{:.4g}".format)
        factors = " then ".join(f"{(part.shares**2 / self.natural).sum():.4g}" for part in shown)
        first = (
            f"{self.name}: {len(self.sources)} sources, {len(self.phases)} phase(s), "
            f"{format_quantity(self.budget)} drawn of {format_quantity(self.counts.sum())}."
        )
        last = (
            f"Weighting losses instead would multiply squared gradients by {factors} "
            "(equal gradient norms)."
        )
        return with_notes(f"{first}\n\n{table}\n\n{last}", self.notes)

    def payload(self) -> dict[str, Any]:
        """Return name, counts, phases, budget and epochs."""
        return {
            "name": self.name,
            "budget": self.budget,
            "counts": dict(zip(self.sources, self.counts, strict=True)),
            "phases": [
                {"end": part.end, "shares": dict(zip(self.sources, part.shares, strict=True))}
                for part in self.phases
            ],
            "epochs": self.epochs(),
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Schedule:
        """Return the schedule that `save` wrote."""
        counts = values["counts"]
        parts = tuple(
            Phase(part["end"], np.array([part["shares"][name] for name in counts]))
            for part in values["phases"]
        )
        return cls(values["name"], tuple(counts), np.array(list(counts.values())), parts,
                   values["budget"], tuple(Note(**note) for note in values["notes"]),
                   Provenance.from_dict(values["provenance"]))  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the shares over training, stacked."""
        from scalekit.selectors.mixtures.pictures import plot_schedule

        return plot_schedule(self, ax)

    def plot_epochs(self, ax: Axes | None = None) -> Axes:
        """Draw how often each source has been seen over training."""
        from scalekit.selectors.mixtures.pictures import plot_epochs

        return plot_epochs(self, ax)
