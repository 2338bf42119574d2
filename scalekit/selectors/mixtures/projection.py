"""What any mixture of disclosed samples is projected to reach: predictions, choices, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.selectors.mixtures.projecting.distances import FAMILIES
from scalekit.selectors.mixtures.projecting.drawing import error_draws, point_errors
from scalekit.selectors.mixtures.projecting.members import Member
from scalekit.selectors.mixtures.projecting.pilots import Pilots
from scalekit.selectors.mixtures.projecting.storing import from_stored, stored_arrays, stored_values
from scalekit.selectors.simplex import MixtureLike, as_mixtures, describe_mixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.mixtures.projecting.choice import ProjectedMixture


@dataclass(frozen=True, repr=False)
class Projection(Result):
    """The fitted projection: `predict`, `choose`, `rank_by_distance`; made by `project`.

    `members` are the distance families with their weights; `pilots` what they were fitted to.
    """

    kind: ClassVar[str] = "projection"
    pilots: Pilots
    members: tuple[Member, ...]
    form: str
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources, in the order of the mixture arrays."""
        return self.pilots.sources

    @property
    def distances(self) -> pd.DataFrame:
        """One row a distance family: its weight and how well it predicts held-out mixtures.

        `cv_r2` is that of the whole surface, `alone_r2` that of a line in the distance alone.
        """
        rows = [
            (m.name, FAMILIES.get(m.name, "no distance"), m.weight, m.cv_error, m.cv_r2, m.alone_r2)
            for m in self.members
        ]
        names = ["distance", "meaning", "weight", "cv_rmse", "cv_r2", "alone_r2"]
        return pd.DataFrame(rows, columns=names).sort_values(
            "weight", ascending=False, ignore_index=True
        )

    def predict(
        self, mixture: MixtureLike, samples: float | Sequence[float] | None = None
    ) -> pd.DataFrame:
        """Return the projected metric of mixtures at training-set sizes, one row each pair.

        `samples` is by default the largest pilot size. Columns: the shares, `samples`,
        `predicted`, `ci_lower`, `ci_upper` (the mean over training runs), `obs_lower`,
        `obs_upper` (one new run), `domain` (inside or outside the pilots' sizes) and
        `extrapolation` (samples over the largest pilot size).
        """
        points = as_mixtures(mixture, self.sources)
        sizes = self.checked_sizes(self.pilots.sizes[-1] if samples is None else samples)
        pairs = np.repeat(points, len(sizes), axis=0)
        along = np.tile(sizes, len(points))
        point = point_errors(self, pairs, along)
        mean, new = error_draws(self, pairs, along)
        metric, tail = self.pilots.metric, (1 - self.confidence_level) / 2
        low, high = np.quantile(mean, [tail, 1 - tail], axis=0)
        new_low, new_high = np.quantile(new, [tail, 1 - tail], axis=0)
        # a finite number of draws must not make one run surer than the mean
        new_low, new_high = np.minimum(low, new_low), np.maximum(high, new_high)
        ends = [metric.from_error(v) for v in (low, high, new_low, new_high)]
        if metric.higher_is_better:
            ends = [ends[1], ends[0], ends[3], ends[2]]
        largest, smallest = self.pilots.sizes[-1], self.pilots.sizes[0]
        frame = pd.DataFrame(pairs, columns=list(self.sources))
        return frame.assign(
            samples=along,
            predicted=metric.from_error(point),
            ci_lower=ends[0],
            ci_upper=ends[1],
            obs_lower=ends[2],
            obs_upper=ends[3],
            domain=np.where((along >= smallest) & (along <= largest), "inside", "outside"),
            extrapolation=along / largest,
        )

    def choose(
        self,
        samples: float | None = None,
        caps: Mapping[str, float] | None = None,
        prior: MixtureLike | None = None,
        candidates: int = 1500,
    ) -> ProjectedMixture:
        """Return the mixture of the best projected metric at `samples`, under caps.

        `caps` maps a source to the most samples it can give (repeats included). `prior` is the
        mixture that would be taken otherwise (uniform by default): gain and regret refer to it.
        """
        from scalekit.selectors.mixtures.projecting.choice import choose

        return choose(self, samples, caps, prior, candidates)

    def rank_by_distance(self, distance: str | None = None, parts: int = 10) -> pd.DataFrame:
        """Return mixtures ranked by one distance alone, nearest first.

        Refused, with an InputError, where a line in that distance does not predict held-out
        mixtures (cross-validated R^2 not positive): the ranking would then be noise or worse.
        """
        from scalekit.selectors.simplex import simplex_grid

        options = {m.name: m for m in self.members if m.table is not None}
        if not options:
            raise InputError("This projection was fitted without distances; there is none to rank.")
        if distance is None:
            distance = max(options, key=lambda name: options[name].alone_r2)
        if distance not in options:
            raise InputError(
                f"No distance '{distance}' here. {did_you_mean(str(distance), options)}"
            )
        member = options[distance]
        if not member.alone_r2 > 0:
            raise InputError(
                f"Ranking by '{distance}' alone is refused: on held-out mixtures its R^2 is "
                f"{member.alone_r2:.2f}, no better than the mean. Use .choose(...), which takes "
                "the distance as one term beside the shares."
            )
        points = simplex_grid(len(self.sources), parts)
        values = member.distance(points, np.array([0]))
        assert values is not None
        frame = pd.DataFrame(points, columns=list(self.sources)).assign(distance=values[0])
        return frame.sort_values("distance", ignore_index=True)

    def checked_sizes(self, samples: Any) -> np.ndarray:
        """Return sizes as an array; raise InputError for those that cannot be projected to."""
        try:
            sizes = np.atleast_1d(np.asarray(samples, dtype=float))
        except (TypeError, ValueError) as error:
            raise InputError(f"samples must be numbers, such as 4000; got {samples!r}.") from error
        if not sizes.size or sizes.ndim > 1 or not (np.isfinite(sizes) & (sizes >= 1)).all():
            raise InputError(f"samples must be at least 1; got {sizes.tolist()}.")
        one = len(self.pilots.sizes) == 1
        if one and not np.allclose(sizes, self.pilots.sizes[0]):
            raise InputError(
                f"All pilots have {self.pilots.sizes[0]:g} samples, so nothing is known about "
                "other sizes. Run pilots at a second size, at least three times as large."
            )
        return sizes

    def to_frame(self) -> pd.DataFrame:
        """Return the pilots beside their predictions at the same mixture and size."""
        mixtures = self.pilots.mixtures[self.pilots.which]
        frames = [
            self.predict(mixtures[self.pilots.samples == size], size).assign(
                observed=self.pilots.metric.from_error(
                    self.pilots.error[self.pilots.samples == size]
                ),
                runs=self.pilots.count[self.pilots.samples == size].astype(int),
            )
            for size in self.pilots.sizes
        ]
        return pd.concat(frames, ignore_index=True)

    def summary(self) -> str:
        """Return the weights of the distances, how they predict, and the best pilot mixture."""
        pilots = self.pilots
        best = pilots.mixtures[pilots.which[pilots.error.argmin()]]
        row = self.predict(best, pilots.sizes[-1]).iloc[0]
        sizes = ", ".join(f"{size:g}" for size in pilots.sizes)
        text = (
            f"Projection of '{pilots.metric.name}' ({self.form}) from {pilots.n_runs} pilot runs: "
            f"{len(pilots.mixtures)} mixtures of {', '.join(self.sources)} at samples {sizes}\n"
            f"best pilot mixture ({describe_mixture(best, self.sources)}) at "
            f"{pilots.sizes[-1]:g}: {row.predicted:.4g} [{row.ci_lower:.4g}, {row.ci_upper:.4g}]\n"
            + self.distances.drop(columns="meaning").to_string(
                index=False, float_format="{:.3g}".format
            )
        )
        return with_notes(text, self.notes)

    def payload(self) -> dict[str, Any]:
        """Return the pilots, the members' weights and scores, and what `load` needs."""
        return stored_values(self)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return draws and distance tables."""
        return stored_arrays(self)

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Projection:
        """Return the saved projection, able to predict and choose."""
        pilots, members = from_stored(values, arrays)
        return cls(
            pilots, members, values["form"], values["confidence_level"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw predicted against observed pilots, with intervals."""
        from scalekit.selectors.plots import draw_predicted

        return draw_predicted(self, ax)

    def plot_sizes(
        self, mixture: MixtureLike, samples: Sequence[float] | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw the projection of one mixture over sizes, with both intervals."""
        from scalekit.selectors.plots import draw_sizes

        return draw_sizes(self, mixture, samples, ax)
