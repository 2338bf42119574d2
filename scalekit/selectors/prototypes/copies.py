"""`near_duplicates`: copies in meaning, dropped but for one of each group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.prototypes.features import chunks, name_rows, open_embedding
from scalekit.selectors.prototypes.kmeans import fit_clusters

LARGEST_CLUSTER = 20_000  # rows compared with each other at once: 1.6 GB of products
ROWS_A_CLUSTER = 2_000
ROUNDING = 2e-6  # of float32 cosines: exact copies must count as such


@dataclass(frozen=True, eq=False, repr=False)
class Copies(Result):
    """Near copies: `keep` (n,) is the mask of what stays, `group` (n,) the row kept for each.

    Pairs in different clusters are not compared: copies across a border between clusters stay.
    """

    kind: ClassVar[str] = "copies"
    ids: np.ndarray
    keep: np.ndarray
    group: np.ndarray
    epsilon: float
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def summary(self) -> str:
        """Return how many stay, and the largest groups."""
        dropped = int((~self.keep).sum())
        sizes = np.unique(self.group, return_counts=True)[1]
        return with_notes(
            f"{int(self.keep.sum()):,} of {len(self.keep):,} examples stay; {dropped:,} are within "
            f"{self.epsilon:g} (cosine distance) of one that stays\n"
            f"{int((sizes > 1).sum()):,} groups of copies, the largest of {sizes.max()}",
            self.notes,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return id, keep and group, one row an example."""
        return pd.DataFrame({"id": self.ids, "keep": self.keep, "group": self.ids[self.group]})

    def payload(self) -> dict[str, Any]:
        """Return the threshold and the counts."""
        return {"params": {}, "epsilon": self.epsilon, "n_examples": len(self.keep),
                "n_kept": int(self.keep.sum())}  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return ids, mask and groups."""
        ids = self.ids.astype(str) if self.ids.dtype.kind == "O" else self.ids
        return {"ids": ids, "keep": self.keep, "group": self.group}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Copies:
        """Return what `save` wrote."""
        return cls(
            arrays["ids"], arrays["keep"], arrays["group"], values["epsilon"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )  # fmt: skip


def near_duplicates(
    features: Any,
    epsilon: float = 0.05,
    *,
    ids: Any = None,
    clusters: int | None = None,
    stays: str = "far",
    device: str = "cpu",
    rng: RandomState = 0,
) -> Copies:
    """Find examples whose features lie within `epsilon` in cosine distance of one that stays.

    SemDeDup (Abbas et al. 2023): rows are clustered, and compared within their cluster. Of copies
    the one farthest from the cluster's centre stays (`stays="far"`; "near": the nearest). A row is
    dropped where a row that stays, and comes before it in that order, is closer than epsilon.

    Raises InputError for an epsilon outside [0, 2], or features with NaN.

    >>> features = np.array([[1.0, 0.0], [1.0, 0.001], [0.0, 1.0]])
    >>> near_duplicates(features, 0.01).keep.sum()
    np.int64(2)
    """
    import torch

    if not 0 <= epsilon <= 2:
        raise InputError(
            f"epsilon (--copies, --deduplicate) is a cosine distance from 0 to 2; got {epsilon:g}."
        )
    if stays not in ("far", "near"):
        raise InputError(f"stays must be 'far' or 'near'; got '{stays}'.")
    table, own = open_embedding(features)
    rows = len(table)
    names = name_rows(rows, ids, own)
    generator = as_generator(rng)
    count = max(rows // ROWS_A_CLUSTER, 1) if clusters is None else clusters
    found = fit_clusters(table, count, generator, "cosine", device=device)
    keep, group, cut = np.ones(rows, dtype=bool), np.arange(rows), 0
    for cluster in np.unique(found.cluster):
        members = np.flatnonzero(found.cluster == cluster)
        sign = -1.0 if stays == "far" else 1.0
        members = members[np.argsort(sign * found.distance[members], kind="stable")]
        cut += len(members) > LARGEST_CLUSTER
        for start in range(0, len(members), LARGEST_CLUSTER):
            mine = members[start : start + LARGEST_CLUSTER]
            part = torch.cat([p for _, p in chunks(table, "cosine", device, mine)])
            near = (part @ part.T >= 1 - epsilon - ROUNDING).cpu().numpy()
            for place in range(len(mine)):
                if not keep[mine[place]]:
                    continue
                later = np.flatnonzero(near[place, place + 1 :]) + place + 1
                later = later[keep[mine[later]]]
                keep[mine[later]], group[mine[later]] = False, mine[place]
    notes = () if not cut else (
        Note("large_clusters", "warning", f"{cut} clusters hold over {LARGEST_CLUSTER:,} examples "
             "and were compared in parts. Ask for more clusters=."),
    )  # fmt: skip
    return Copies(names, keep, group, epsilon, notes,
                  Provenance(source="the features", n_rows=rows, seed=seed_of(rng)))  # fmt: skip
