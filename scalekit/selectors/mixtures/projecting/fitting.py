"""From pilot runs on mixtures of disclosed samples to what a large mixture will reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance, check_level, hash_frame
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.mixtures.projecting.distances import distance_tables
from scalekit.selectors.mixtures.projecting.drawing import EXPONENT_DRIFT, OWN_DRIFT
from scalekit.selectors.mixtures.projecting.members import Member, fit_member, fit_published, weigh
from scalekit.selectors.mixtures.projecting.pilots import Pilots, read_pilots
from scalekit.selectors.mixtures.projecting.published import FORMS, noise_amplification
from scalekit.selectors.mixtures.projection import Projection
from scalekit.selectors.transport.samples import as_named_samples, as_sample, read_features

DISTANCE_DRAWS = 20  # bootstrap draws of the disclosed samples
SPREAD_WANTED = 3.0
LEAST_DRAWS = 40


def project(
    sources: Mapping[str, Any],
    validation: Any,
    pilots: pd.DataFrame | str | Path,
    *,
    metric: str | None = None,
    samples: str = "samples",
    higher_is_better: bool | None = None,
    form: str = "surface",
    distances: str | Sequence[str] | None = None,
    confidence_level: float = 0.95,
    draws: int = 1000,
    rng: RandomState = 0,
) -> Projection:
    """Project a metric to any mixture and size, from pilot runs and disclosed samples.

    `sources` maps names to disclosed samples (arrays (n, d), pairs (features, labels), feature
    files); `validation` is a sample of the target; `pilots` (a table, or the file of one) has one
    row a run: the share of each source, the column `samples`, and the metric (accuracy, or a
    loss). `distances` restricts the families ("labels_tv", "labels_hellinger", "otdd", "w2",
    "sliced"); all that apply are weighed by how well they predict held-out mixtures, beside a
    surface without distance.

    `form` "surface" is our default (see `surface`): error, not accuracy; few terms; an exponent
    shared across mixtures. "projektor" and "projektor_notebook" are the published stages
    (arXiv 2307.02460), with least-squares intervals. Raises InputError on bad input.

    >>> import numpy as np
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
    check_level(confidence_level)
    if draws < LEAST_DRAWS:
        raise InputError(f"draws must be at least {LEAST_DRAWS} for an interval; got {draws}.")
    if isinstance(distances, str):
        distances = [distances]
    table: Any = read_features(pilots, "pilot") if isinstance(pilots, (str, Path)) else pilots
    if hasattr(table, "to_pandas"):  # polars, Arrow
        table = table.to_pandas()
    target = as_sample(validation, "validation")
    disclosed = as_named_samples(sources, target)
    runs = read_pilots(table, list(disclosed), metric, samples, higher_is_better)
    generator = as_generator(rng)
    if form != "surface" and distances is None:
        distances = ["otdd" if target.labels is not None else "w2"]
    if form != "surface" and len(distances or ()) != 1:
        raise InputError(f"The form '{form}' takes one distance; got {list(distances or ())}.")
    tables, notes = distance_tables(
        distances, disclosed, target, runs.mixtures, DISTANCE_DRAWS, generator
    )
    if form == "surface":
        members = [fit_member("none", None, runs, draws, generator)]
        members += [fit_member(table.name, table, runs, draws, generator) for table in tables]
        members = weigh(members, runs)
    else:
        members = [fit_published(form, tables[0], runs, draws, generator)]
        notes = (*notes, *_unused(runs))
    disclosed_sizes = ", ".join(f"{name} {len(sample):,}" for name, sample in disclosed.items())
    return Projection(
        runs, tuple(members), form, confidence_level,
        (*runs.notes, *notes, *_notes(runs, members, form, disclosed_sizes)),
        Provenance(_name(pilots), hash_frame(table), len(table), seed=seed_of(rng)),
    )  # fmt: skip


def _name(pilots: Any) -> str:
    return Path(pilots).name if isinstance(pilots, (str, Path)) else "pilots"


def _unused(pilots: Pilots) -> list[Note]:
    """Say which runs the published line, drawn through two sizes, leaves out."""
    between = np.isin(pilots.samples, pilots.sizes[1:-1])
    if not between.any():
        return []
    message = (
        f"The published line in log N goes through the smallest and the largest size: "
        f"{int(pilots.count[between].sum())} of {pilots.n_runs} runs at sizes between are not used."
    )
    return [Note("runs-between-unused", "warning", message)]


def _worsening(pilots: Pilots) -> list[Note]:
    """Say where the metric gets worse with size, in three of four mixtures with two sizes."""
    falls = [
        np.polyfit(np.log(pilots.samples[rows]), np.log(pilots.error[rows]), 1)[0]
        for rows in (np.flatnonzero(pilots.which == i) for i in range(len(pilots.mixtures)))
        if len(rows) > 1
    ]
    worse = int(np.sum(np.array(falls) > 0))
    if 4 * worse <= 3 * len(falls):
        return []
    message = (
        f"'{pilots.metric.name}' gets worse with more samples in {worse} of {len(falls)} mixtures, "
        "and is projected to go on so. Is higher_is_better right?"
    )
    return [Note("worse-with-size", "warning", message)]


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
                f"; the sizes differ by a factor of {high / low:.3g} only. Run pilots at "
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
                f"e-fold of samples in all mixtures alike, by {OWN_DRIFT:.0%} in each of its own; "
                "a floor nearby is not covered."
            )
            notes.append(Note("no-floor", "info", message))
    else:
        message = "The published model projects accuracy by a line in log N and overfits few runs."
        notes.append(Note("published-form", "info", message))
    notes += _worsening(pilots)
    useless = [m.name for m in members if m.table is not None and not m.alone_r2 > 0]
    if useless:
        message = (
            f"Alone, {', '.join(useless)} does not predict held-out mixtures (R^2 not positive): "
            "do not rank mixtures by it."
        )
        notes.append(Note("distance-alone-useless", "warning", message))
    return notes
