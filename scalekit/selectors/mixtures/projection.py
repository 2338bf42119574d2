"""From pilot runs on mixtures of disclosed samples to what a large mixture will reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance, Result, hash_frame, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.mixtures.projecting.distances import FAMILIES, distance_tables
from scalekit.selectors.mixtures.projecting.drawing import EXPONENT_DRIFT, error_draws, point_errors
from scalekit.selectors.mixtures.projecting.members import (
    Member,
    fit_member,
    fit_published,
    weigh,
)
from scalekit.selectors.mixtures.projecting.pilots import Pilots, read_pilots
from scalekit.selectors.mixtures.projecting.published import FORMS, noise_amplification
from scalekit.selectors.mixtures.projecting.storing import from_stored, stored_arrays, stored_values
from scalekit.selectors.simplex import MixtureLike, as_mixtures, describe_mixture
from scalekit.selectors.transport.samples import as_sample, check_same_features

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.mixtures.projecting.choice import ProjectedMixture

DISTANCE_DRAWS = 20  # bootstrap draws of the disclosed samples
SPREAD_WANTED = 3.0


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
        sizes = np.atleast_1d(
            np.asarray(self.pilots.sizes[-1] if samples is None else samples, dtype=float)
        )
        self._check_sizes(sizes)
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
        if distance is None and options:
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

    def _check_sizes(self, sizes: np.ndarray) -> None:
        if not (np.isfinite(sizes) & (sizes >= 1)).all():
            raise InputError(f"samples must be at least 1; got {sizes.tolist()}.")
        one = len(self.pilots.sizes) == 1
        if one and not np.allclose(sizes, self.pilots.sizes[0]):
            raise InputError(
                f"All pilots have {self.pilots.sizes[0]:g} samples, so nothing is known about "
                "other sizes. Run pilots at a second size, at least three times as large."
            )

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


def project(
    sources: Mapping[str, Any],
    validation: Any,
    pilots: pd.DataFrame,
    *,
    metric: str | None = None,
    samples: str = "samples",
    higher_is_better: bool | None = None,
    form: str = "surface",
    distances: Sequence[str] | None = None,
    confidence_level: float = 0.95,
    draws: int = 1000,
    rng: RandomState = 0,
) -> Projection:
    """Project a metric to any mixture and size, from pilot runs and disclosed samples.

    `sources` maps names to disclosed samples (arrays (n, d), pairs (features, labels), feature
    files); `validation` is a sample of the target; `pilots` has one row a run: the share of each
    source, the column `samples`, and the metric (accuracy, or a loss). `distances` restricts the
    families ("labels_tv", "otdd", "w2", "sliced"); all that apply are weighed by how well they
    predict held-out mixtures, beside a surface without distance.

    `form` "surface" is our default (see `surface`): error, not accuracy; few terms; an exponent
    shared across mixtures. "projektor" and "projektor_notebook" are the published stages
    (arXiv 2307.02460), with least-squares intervals. Raises InputError on bad input.

    >>> rng = np.random.default_rng(0)
    >>> near, far = rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 2
    >>> share = np.repeat([0.0, 0.25, 0.5, 0.75, 1.0], 2)
    >>> size = np.tile([100, 400], 5)
    >>> runs = pd.DataFrame({"near": share, "far": 1 - share, "samples": size})
    >>> runs["loss"] = (2 - share) * size**-0.3
    >>> plan = project({"near": near, "far": far}, rng.normal(size=(50, 2)), runs)
    >>> bool(plan.choose(samples=1600).mixture["near"] > 0.9)
    True
    """
    if form not in ("surface", *FORMS):
        raise InputError(f"Unknown form '{form}'. {did_you_mean(form, ('surface', *FORMS))}")
    if not 0 < confidence_level < 1:
        raise InputError(f"confidence_level must lie between 0 and 1; got {confidence_level}.")
    disclosed = {str(name): as_sample(value, str(name)) for name, value in sources.items()}
    if len(disclosed) < 2:
        raise InputError(f"A mixture needs at least two sources; got {len(disclosed)}.")
    target = as_sample(validation, "validation")
    for sample in disclosed.values():
        check_same_features(sample, target)
    runs = read_pilots(pilots, list(disclosed), metric, samples, higher_is_better)
    generator = as_generator(rng)
    if form != "surface" and distances is None:
        distances = ["otdd" if target.labels is not None else "w2"]
    tables, notes = distance_tables(
        distances, disclosed, target, runs.mixtures, DISTANCE_DRAWS, generator
    )
    if form == "surface":
        members = [fit_member("none", None, runs, draws, generator)]
        members += [fit_member(table.name, table, runs, draws, generator) for table in tables]
        members = weigh(members, runs)
    else:
        members = [fit_published(form, tables[0], runs, draws, generator)]
    disclosed_sizes = ", ".join(f"{name} {len(sample):,}" for name, sample in disclosed.items())
    return Projection(
        runs, tuple(members), form, confidence_level,
        (*runs.notes, *notes, *_notes(runs, members, form, disclosed_sizes)),
        Provenance("pilots", hash_frame(pilots), len(pilots), seed=seed_of(rng)),
    )  # fmt: skip


def _notes(pilots: Pilots, members: Sequence[Member], form: str, disclosed: str) -> list[Note]:
    low, high = pilots.sizes[0], pilots.sizes[-1]
    notes = []
    if low == high:
        message = "All pilots have one size: mixtures can be compared there, not projected further."
        notes.append(Note("one-size", "warning", message))
    else:
        factor = noise_amplification(10 * high, low, high)
        text = (
            f"A line in log N through {low:g} and {high:g} samples multiplies the noise of one "
            f"pilot mixture by {factor:.1f} at {10 * high:g}"
        )
        if high / low < SPREAD_WANTED:
            text += (
                f"; the sizes differ by a factor of {high / low:.2g} only. Run pilots at "
                f"{SPREAD_WANTED * low:g} samples or more."
            )
            notes.append(Note("sizes-too-close", "warning", text))
        else:
            notes.append(Note("noise-amplification", "info", text + "."))
    if form == "surface":
        message = (
            "Intervals: posterior of a Gaussian surface, variances averaged by marginal "
            f"likelihood, over {DISTANCE_DRAWS} bootstrap draws of the disclosed samples "
            f"({disclosed} points) and of the validation set."
        )
        notes.append(Note("interval", "info", message))
        if low < high:
            message = (
                "The error falls as a power of samples, with no floor. Intervals beyond the "
                f"pilots let the exponent drift by {EXPONENT_DRIFT:.0%} of itself (sd) per "
                "e-fold of samples; a floor nearby is not covered."
            )
            notes.append(Note("no-floor", "info", message))
    else:
        message = "The published model projects accuracy by a line in log N and overfits few runs."
        notes.append(Note("published-form", "info", message))
    useless = [m.name for m in members if m.table is not None and not m.alone_r2 > 0]
    if useless:
        message = (
            f"Alone, {', '.join(useless)} does not predict held-out mixtures (R^2 not positive): "
            "do not rank mixtures by it."
        )
        notes.append(Note("distance-alone-useless", "warning", message))
    return notes
