"""Rolling origins: fit what was small, forecast what came next, at every origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.fitters.candidates import Candidate, Fitted, can_fit, fit_candidate
from scalekit.fitters.study import Study
from scalekit.notes import Note

MOST_ORIGINS = 4
FEWEST_SIZES = 4  # different sizes that must have been seen at an origin


@dataclass(frozen=True)
class Forecasts:
    """Forecasts from origins, one entry a row: what was forecast, and (if known) what came.

    `block` numbers curve and origin together: rows of one block come from one fit. `distance` is
    the log of the size over the origin's largest; `observed` the log loss; `centre` and `doubt`,
    of shape (rows, candidates), each candidate's log loss and its doubt from the parameters;
    `noise`, of the same shape, the deviation of single rows about each candidate's curve.
    """

    curve: np.ndarray
    origin: np.ndarray
    block: np.ndarray
    distance: np.ndarray
    observed: np.ndarray
    centre: np.ndarray
    doubt: np.ndarray
    noise: np.ndarray

    def __len__(self) -> int:
        return len(self.curve)

    def rows(self, chosen: np.ndarray) -> Forecasts:
        """Return some of the rows."""
        return Forecasts(*[entry[chosen] for entry in vars(self).values()])

    @property
    def block_weights(self) -> np.ndarray:
        """Weights of the rows such that every block counts once."""
        _, place, count = np.unique(self.block, return_inverse=True, return_counts=True)
        return 1.0 / count[place]

    @property
    def errors(self) -> np.ndarray:
        """Log forecast over observed, (rows, candidates); NaN where there is no forecast."""
        return self.centre - self.observed[:, None]


def set_origins(
    study: Study, horizon: float, fewest_rows: int = FEWEST_SIZES, most: int = MOST_ORIGINS
) -> np.ndarray:
    """Return origins, an array of sizes (origins, curves), the latest first.

    The first lies one horizon below each curve's largest size, the others at half steps of the
    horizon (quarter steps, where there is one curve only) below it, down to the square of the
    horizon. A curve is left out (NaN) where it has fewer than `fewest_rows` different rows, or
    four different sizes (two, for laws of several scales), below an origin. Raises
    InputError where no origin is left.
    """
    if not (np.isfinite(horizon) and horizon > 1):
        raise InputError(f"horizon must be a factor above 1, such as 2 or 10; got {horizon}.")
    steps = 2 if len(study) > 1 else 4
    # on a grid of two scales, two budgets already tell both apart
    fewest_sizes = FEWEST_SIZES if len(study.members.scales) == 1 else 2
    found: list[np.ndarray] = []
    last = np.full(len(study), -1)
    for step in range(steps + 1):
        origins = study.largest * horizon ** (-1 - step / steps)
        seen, sizes = _seen(study, origins)
        beyond = (study.present & (study.size > origins[:, None])).any(axis=1)
        usable = (seen >= fewest_rows) & (sizes >= fewest_sizes) & beyond & (seen != last)
        last = seen
        if usable.mean() >= 0.3 and len(found) < most:
            found.append(np.where(usable, origins, np.nan))
    if not found:
        raise InputError(_no_origin(study, horizon, fewest_rows, fewest_sizes))
    return np.stack(found)


def _no_origin(study: Study, horizon: float, fewest_rows: int, fewest_sizes: int) -> str:
    seen, sizes = _seen(study, study.largest / horizon)
    which = f"in the median of {len(study)} curves " if len(study) > 1 else ""
    return (
        f"No roll-out is possible: with the runs above 1/{horizon:.2g} of the largest "
        f"{study.along} held out, at least {fewest_rows} runs at different scales, of "
        f"{fewest_sizes} different {study.along}, must be left to fit; there are {which}"
        f"{np.median(seen):g}, of {np.median(sizes):g} (runs at the same scales count once). Add "
        "smaller runs, or take the interval of one law (`scalekit fit`), which rests on that law "
        "alone."
    )


def _seen(study: Study, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many different rows, and different sizes, each curve has below its origin."""
    seen = study.present & (study.size <= origins[:, None])
    points = np.stack([study.size, *study.members.scales.values()], axis=-1)
    rows = [len(np.unique(p[s], axis=0)) for p, s in zip(points, seen, strict=True)]
    sizes = [len(np.unique(v[s])) for v, s in zip(study.size, seen, strict=True)]
    return np.array(rows), np.array(sizes)


def judgeable(
    study: Study, candidates: Sequence[Candidate], origins: np.ndarray
) -> tuple[list[Candidate], list[Note]]:
    """Return the candidates that the latest origin leaves rows enough for, and a note on others."""
    curves = np.flatnonzero(np.isfinite(origins[0]))
    part = study.part(curves)
    members = part.until(origins[0, curves])
    able = [can_fit(candidate, members, part.size).any() for candidate in candidates]
    left = [c.name for c, enough in zip(candidates, able, strict=True) if not enough]
    if not left:
        return list(candidates), []
    few = "curves to share between" if all(", shared" in name for name in left) else "runs"
    return [c for c, enough in zip(candidates, able, strict=True) if enough], [
        Note(
            "candidates_left_out",
            "info",
            f"{len(left)} of {len(able)} candidates are left out: below the origins there are too "
            f"few {few} for them ({'; '.join(left[:3])}{'; ...' if left[3:] else ''}).",
        )
    ]


def roll(
    study: Study, candidates: Sequence[Candidate], origins: np.ndarray, horizon: float
) -> Forecasts:
    """Return the forecasts of all candidates from all origins, up to `horizon` beyond each."""
    parts = []
    for number, sizes in enumerate(origins):
        curves = np.flatnonzero(np.isfinite(sizes))
        part = study.part(curves)
        fits = fit_all(part, candidates, sizes[curves])
        reach = sizes[curves, None] * horizon * (1 + 1e-9)
        member, row = np.nonzero(
            part.present & (part.size > sizes[curves, None]) & (part.size <= reach)
        )
        scales = {name: scale[member, row] for name, scale in part.members.scales.items()}
        found = forecast(
            fits, scales, member, part.size[member, row], _last_seen(part, sizes[curves])
        )
        observed = np.log(part.members.loss[member, row])
        parts.append((curves[member], np.full(len(member), number), found, observed))
    curve = np.concatenate([p[0] for p in parts])
    origin = np.concatenate([p[1] for p in parts])
    centre, doubt, noise, distance = (np.concatenate([p[2][k] for p in parts]) for k in range(4))
    observed = np.concatenate([p[3] for p in parts])
    block = np.unique(curve * len(origins) + origin, return_inverse=True)[1]
    return Forecasts(curve, origin, block, distance, observed, centre, doubt, noise)


def fit_all(study: Study, candidates: Sequence[Candidate], origins: np.ndarray) -> list[Fitted]:
    """Return every candidate fitted to what each curve has seen at its origin."""
    members = study.until(origins)
    fits = [fit_candidate(candidate, members, study.size, study.groups) for candidate in candidates]
    return [replace(fit, noise=np.fmax(fit.noise, study.noise)) for fit in fits]


def _last_seen(study: Study, origins: np.ndarray) -> np.ndarray:
    seen = study.present & (study.size <= origins[:, None] * (1 + 1e-12))
    return np.where(seen, study.size, 0.0).max(axis=1)


def forecast(
    fits: Sequence[Fitted],
    scales: Mapping[str, np.ndarray],
    member: np.ndarray,
    size: np.ndarray,
    last_seen: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return centre, doubt and noise (rows, candidates) and log distance (rows,) at given rows.

    `scales` (rows,) are in the units of the study, `member` says whose curve each row continues.
    A candidate that a curve has too few rows for takes the mean of the others.
    """
    if len(member) == 0:
        raise InputError("There is no row to forecast.")
    count = np.bincount(member)
    place = np.concatenate([np.arange(c) for c in count])[
        np.argsort(np.argsort(member, kind="stable"))
    ]
    wide = (len(last_seen), int(count.max()))
    padded = {}
    for name, values in scales.items():
        padded[name] = np.ones(wide)
        padded[name][member, place] = values
    centre, doubt, noise = [], [], []
    for fit in fits:
        middle, width = fit.forecast(padded)
        centre.append(middle[member, place])
        doubt.append(width[member, place])
        noise.append(fit.noise[member])
    middle = np.stack(centre, axis=1)
    lacking = ~np.isfinite(middle)
    if lacking.all(axis=1).any():
        raise InputError(
            "No candidate law could be fitted to a curve: it has fewer rows than the simplest law "
            "has parameters. Add runs, or a law with fewer parameters."
        )
    spare = np.broadcast_to(np.nanmean(middle, axis=1, keepdims=True), middle.shape)
    middle = np.where(lacking, spare, middle)
    widths = np.where(lacking, np.nan, np.stack(doubt, axis=1))
    widths = np.where(np.isfinite(widths), widths, np.nanmax(widths, axis=1, keepdims=True))
    noises = np.stack(noise, axis=1)
    noises = np.where(np.isfinite(noises), noises, np.nanmin(noises, axis=1, keepdims=True))
    return middle, widths, noises, np.log(np.maximum(size / last_seen[member], 1.0))


def to_frame(
    found: Forecasts, names: Sequence[str], keys: pd.DataFrame, sizes: np.ndarray
) -> pd.DataFrame:
    """Return the forecasts as a tidy table: one row for each row forecast and candidate."""
    count = len(names)
    table = keys.iloc[np.repeat(found.curve, count)].reset_index(drop=True)
    return table.assign(
        origin=np.repeat(sizes[found.origin, found.curve], count),
        candidate=np.tile(np.asarray(names), len(found)),
        factor=np.repeat(np.exp(found.distance), count),
        observed=np.repeat(np.exp(found.observed), count),
        predicted=np.exp(found.centre).ravel(),
        error=found.errors.ravel(),
    )
