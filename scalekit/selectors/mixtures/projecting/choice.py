"""Which mixture to take: the best projected metric under caps, with gain and regret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, with_notes
from scalekit.selectors.mixtures.projecting.drawing import point_errors, surface_draws
from scalekit.selectors.simplex import MixtureLike, as_mixtures, describe_mixture
from scalekit.selectors.simplex import candidates as simplex_candidates
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.mixtures.projection import Projection

FAR = 10.0


@dataclass(frozen=True, repr=False)
class ProjectedMixture(Result):
    """The chosen mixture, what it is projected to reach, and what is at stake.

    `share_intervals` say how far the best mixture is determined; `gain` is the metric of the
    choice minus that of the prior (positive is better, whatever the metric's direction);
    `regret` is the expected loss of the choice, `prior_regret` that of the prior, against the
    mixture that is best in each draw.
    """

    kind: ClassVar[str] = "projected_mixture"
    mixture: Mapping[str, float]
    share_intervals: Mapping[str, Interval]
    samples: float
    metric: str
    predicted: float
    interval: Interval
    observation: Interval
    prior: Mapping[str, float]
    prior_predicted: float
    gain: float
    gain_interval: Interval
    probability_better: float
    regret: float
    prior_regret: float
    unconstrained: Mapping[str, float]
    active_caps: tuple[str, ...]
    notes: tuple[Note, ...]
    provenance: Provenance

    def summary(self) -> str:
        """Return the mixture, its projected metric, gain and regret as text."""
        names = list(self.mixture)

        def text_of(shares: Mapping[str, float]) -> str:
            return describe_mixture(np.array(list(shares.values())), names)

        level = percent(self.interval.confidence_level)
        lines = [
            f"Best mixture at {self.samples:g} samples: {text_of(self.mixture)}",
            f"projected {self.metric} {self.predicted:.4g}, {level} interval {self.interval}, "
            f"one run {self.observation}",
            f"prior ({text_of(self.prior)}) {self.prior_predicted:.4g}: gain {self.gain:.3g} "
            f"{self.gain_interval}, better with probability {self.probability_better:.2f}",
            f"expected regret {self.regret:.3g} (prior {self.prior_regret:.3g})",
            "where the best share of each source may lie: "
            + ", ".join(
                f"{name} {ends.lower:.1%} to {ends.upper:.1%}"
                for name, ends in self.share_intervals.items()
            ),
        ]
        if self.active_caps:
            lines.append(
                f"caps reached: {', '.join(self.active_caps)}; without caps: "
                f"{text_of(self.unconstrained)}"
            )
        return with_notes("\n".join(lines), self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a source: share, its interval, samples to draw, whether capped."""
        return pd.DataFrame(
            [
                {
                    "source": name,
                    "share": share,
                    "ci_lower": self.share_intervals[name].lower,
                    "ci_upper": self.share_intervals[name].upper,
                    "samples": share * self.samples,
                    "prior": self.prior[name],
                    "capped": name in self.active_caps,
                }
                for name, share in self.mixture.items()
            ]
        )

    def payload(self) -> dict[str, Any]:
        """Return the choice with all intervals."""
        names = [
            "samples", "metric", "predicted", "prior_predicted", "gain", "probability_better",
            "regret", "prior_regret",
        ]  # fmt: skip
        params = {
            name: {"estimate": share, **_ends(self.share_intervals[name])}
            for name, share in self.mixture.items()
        }
        return {
            "params": params,
            **{name: getattr(self, name) for name in names},
            "mixture": dict(self.mixture),
            "prior": dict(self.prior),
            "unconstrained": dict(self.unconstrained),
            "active_caps": list(self.active_caps),
            "share_intervals": {k: vars(v) for k, v in self.share_intervals.items()},
            "interval": vars(self.interval),
            "observation": vars(self.observation),
            "gain_interval": vars(self.gain_interval),
        }

    @classmethod
    def restore(
        cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> ProjectedMixture:
        """Return the saved choice."""
        plain = [
            "mixture", "samples", "metric", "predicted", "prior", "prior_predicted", "gain",
            "probability_better", "regret", "prior_regret", "unconstrained",
        ]  # fmt: skip
        return cls(
            **{name: values[name] for name in plain},
            share_intervals={k: Interval(**v) for k, v in values["share_intervals"].items()},
            interval=Interval(**values["interval"]),
            observation=Interval(**values["observation"]),
            gain_interval=Interval(**values["gain_interval"]),
            active_caps=tuple(values["active_caps"]),
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the shares with their intervals."""
        from scalekit.selectors.plots import draw_shares

        title = f"{self.metric} {self.predicted:.4g} {self.interval} at {self.samples:g} samples"
        return draw_shares(self.mixture, title, ax, self.share_intervals)


def _ends(interval: Interval) -> dict[str, float]:
    return {"ci_lower": interval.lower, "ci_upper": interval.upper}


def choose(
    projection: Projection,
    samples: float | None,
    caps: Mapping[str, float] | None,
    prior: MixtureLike | None,
    candidates: int,
) -> ProjectedMixture:
    """Choose among about `candidates` mixtures of the simplex, clipped to the caps."""
    sources, pilots = projection.sources, projection.pilots
    (size,) = projection.checked_sizes(pilots.sizes[-1] if samples is None else [samples])
    limits = _limits(caps, sources, size)
    count = len(sources)
    grid = simplex_candidates(count, candidates, np.random.default_rng(0))
    grid = np.unique(np.concatenate([grid, pilots.mixtures]), axis=0)
    before = np.full((1, count), 1 / count) if prior is None else as_mixtures(prior, sources)
    if len(before) != 1:
        raise InputError(f"prior is one mixture; got {len(before)}.")
    broken = [name for i, name in enumerate(sources) if before[0, i] > limits[i] + 1e-9]
    free = _points_error(projection, grid, size)
    allowed = np.unique(_clip(np.concatenate([grid, before]), limits).round(12), axis=0)
    points = np.concatenate([before, allowed])
    error = _points_error(projection, points, size)
    best = 1 + int(error[1:].argmin())
    draws = surface_draws(projection, points, np.full(len(points), size))
    winners = 1 + draws[:, 1:].argmin(axis=1)
    least = np.take_along_axis(draws, winners[:, None], axis=1)[:, 0]
    gains = draws[:, 0] - draws[:, best]
    row = projection.predict(points[[best]], size).iloc[0]
    level, metric = projection.confidence_level, pilots.metric
    tail = (1 - level) / 2
    how = f"{len(draws)} posterior draws"
    low, high = np.quantile(gains, [tail, 1 - tail])
    shares = np.quantile(points[winners], [tail, 1 - tail], axis=0)

    def named(values: np.ndarray) -> dict[str, float]:
        return dict(zip(sources, map(float, values), strict=True))

    intervals = {
        name: Interval(float(shares[0, i]), float(shares[1, i]), level, f"best in each of {how}")
        for i, name in enumerate(sources)
    }
    return ProjectedMixture(
        mixture=named(points[best]),
        share_intervals=intervals,
        samples=size,
        metric=metric.name,
        predicted=float(row.predicted),
        interval=Interval(float(row.ci_lower), float(row.ci_upper), level, how),
        observation=Interval(float(row.obs_lower), float(row.obs_upper), level, how + ", one run"),
        prior=named(before[0]),
        prior_predicted=float(metric.from_error(error[:1])[0]),
        gain=float(error[0] - error[best]),
        gain_interval=Interval(float(low), float(high), level, how),
        probability_better=float(np.mean(gains > 0) + 0.5 * np.mean(gains == 0)),
        regret=float(np.mean(draws[:, best] - least)),
        prior_regret=float(np.mean(draws[:, 0] - np.minimum(least, draws[:, 0]))),
        unconstrained=named(grid[free.argmin()]),
        active_caps=tuple(
            name
            for i, name in enumerate(sources)
            if points[best, i] >= limits[i] - 1e-9 and limits[i] < 1
        ),
        notes=(*projection.notes, *_notes(projection, size, error[1:], broken)),
        provenance=projection.provenance,
    )


def _points_error(projection: Projection, points: np.ndarray, size: float) -> np.ndarray:
    return point_errors(projection, points, np.full(len(points), size), effects=False)


def _limits(caps: Mapping[str, float] | None, sources: tuple[str, ...], size: float) -> np.ndarray:
    """Return the largest share of each source (m,)."""
    if caps is not None and not isinstance(caps, Mapping):
        raise InputError(
            f"caps map a source to the most samples it can give; got {type(caps).__name__}."
        )
    limits = np.ones(len(sources))
    for name, most in (caps or {}).items():
        if name not in sources:
            raise ColumnNotFoundError(f"The caps name '{name}'. {did_you_mean(name, sources)}")
        if not isinstance(most, Real) or not most >= 0 or 0 < most < 1:
            raise InputError(
                f"The cap of '{name}' is {most!r}; give the most samples (not the share) that it "
                "can give."
            )
        limits[sources.index(name)] = min(most / size, 1.0)
    if limits.sum() < 1 - 1e-12:
        raise InputError(
            f"The caps allow {limits.sum() * size:g} samples together, fewer than the {size:g} "
            "asked for. Raise a cap (repeats count) or lower samples."
        )
    return limits


def _clip(points: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return the points cut to the limits, what is cut going to the others' remaining room."""
    clipped = np.minimum(points, limits)
    for _ in range(len(limits)):
        missing = 1 - clipped.sum(axis=1, keepdims=True)
        if (missing <= 1e-12).all():
            break
        room = limits - clipped
        pull = np.where(room > 0, points + 1e-9, 0)
        pull /= np.maximum(pull.sum(axis=1, keepdims=True), 1e-300)
        clipped = np.minimum(clipped + missing * pull, limits)
    missing = 1 - clipped.sum(axis=1, keepdims=True)
    room = limits - clipped
    result: np.ndarray = clipped + missing * room / np.maximum(
        room.sum(axis=1, keepdims=True), 1e-300
    )
    return result


def _notes(projection: Projection, size: float, error: np.ndarray, broken: list[str]) -> list[Note]:
    notes = [Note("candidates", "info", f"Chosen among {len(error):,} mixtures.")]
    metric, ended = projection.pilots.metric, int(np.sum(error <= 0))
    end = metric.from_error(np.zeros(1))[0]
    if ended > 1:
        message = (
            f"'{metric.name}' is projected to reach its end, {end:g}, in "
            f"{ended:,} mixtures: the choice among them is arbitrary. Ask for fewer samples, "
            "or use form='surface' (--form)."
        )
        notes.append(Note("end-of-metric", "warning", message))
    if broken:
        message = (
            f"The prior takes more of {', '.join(broken)} than the caps allow, so it may be better "
            "than any mixture that can be had. Give prior=... within the caps for a gain that can."
        )
        notes.append(Note("prior-above-caps", "warning", message))
    times = size / projection.pilots.sizes[-1]
    if times > FAR:
        message = (
            f"{size:g} samples are {times:.3g} times the largest pilot: the power law is assumed "
            "to hold that far. Add a larger pilot of the chosen mixture."
        )
        notes.append(Note("far-extrapolation", "warning", message))
    return notes
