"""A projection as JSON values and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.selectors.mixtures.projecting.distances import DistanceTable
from scalekit.selectors.mixtures.projecting.members import Member
from scalekit.selectors.mixtures.projecting.pilots import Metric, Pilots
from scalekit.selectors.mixtures.projecting.terms import Terms

if TYPE_CHECKING:
    from scalekit.selectors.mixtures.projection import Projection

SCORES = ("cv_error", "cv_r2", "alone_r2", "weight")
DRAWS = ("centre", "effects", "terms", "sigma", "effect", "of_draw", "density")


def stored_values(projection: Projection) -> dict[str, Any]:
    """Return what goes into the JSON."""
    pilots = projection.pilots
    return {
        "form": projection.form,
        "confidence_level": projection.confidence_level,
        "sources": list(pilots.sources),
        "metric": vars(pilots.metric),
        "pilots": {
            "mixtures": pilots.mixtures,
            "which": pilots.which,
            "samples": pilots.samples,
            "error": pilots.error,
            "count": pilots.count,
            "n_runs": pilots.n_runs,
        },
        "distances": [_member_values(member) for member in projection.members],
    }


def _member_values(member: Member) -> dict[str, Any]:
    scaling = member.scaling
    return {
        "distance": member.name,
        "form": member.form,
        **{name: getattr(member, name) for name in SCORES},
        "table": None if member.table is None else member.table.form,
        "scaling": {
            "centre": scaling.centre,
            "scale": scaling.scale,
            "log_size": scaling.log_size,
            "with_sizes": scaling.with_sizes,
            "with_distance": scaling.with_distance,
        },
    }


def stored_arrays(projection: Projection) -> dict[str, np.ndarray]:
    """Return what goes into the .npz."""
    arrays = {}
    for place, member in enumerate(projection.members):
        for name in DRAWS:
            arrays[f"{place}_{name}"] = getattr(member, name)
        if member.table is not None:
            arrays[f"{place}_left"] = member.table.left
            arrays[f"{place}_right"] = member.table.right
    return arrays


def from_stored(
    values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[Pilots, tuple[Member, ...]]:
    """Return the pilots and members that `stored_values` and `stored_arrays` wrote."""
    stored = dict(values["pilots"])
    n_runs = stored.pop("n_runs")
    pilots = Pilots(
        sources=tuple(values["sources"]),
        **{name: np.array(value) for name, value in stored.items()},
        metric=Metric(**values["metric"]),
        notes=(),
        n_runs=n_runs,
    )
    members = tuple(_member(place, row, arrays) for place, row in enumerate(values["distances"]))
    return pilots, members


def _member(place: int, row: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Member:
    table = None
    if row["table"] is not None:
        table = DistanceTable(
            row["distance"], row["table"], arrays[f"{place}_left"], arrays[f"{place}_right"]
        )
    scaling = dict(row["scaling"])
    centre, scale = np.array(scaling.pop("centre")), np.array(scaling.pop("scale"))
    scores: dict[str, Any] = {name: np.nan if row[name] is None else row[name] for name in SCORES}
    fields: dict[str, Any] = {name: arrays[f"{place}_{name}"] for name in DRAWS}
    return Member(
        row["distance"], row["form"], table, Terms(centre, scale, **scaling),
        **fields, **scores,
    )  # fmt: skip
