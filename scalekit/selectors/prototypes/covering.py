"""`k_center`: a small set that leaves no example far from it."""

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


@dataclass(frozen=True, eq=False, repr=False)
class Cover(Result):
    """Centres in the order chosen: `rows` (k,), and the cover radius after each, `radius` (k,).

    The best cover of as many centres has a radius of at least half of the last one.
    """

    kind: ClassVar[str] = "cover"
    ids: np.ndarray
    rows: np.ndarray
    radius: np.ndarray
    metric: str
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def summary(self) -> str:
        """Return the radius, and the bound on the best one."""
        return with_notes(
            f"{len(self.rows)} of {self.provenance.n_rows:,} examples cover all within "
            f"{self.radius[-1]:.4g} ({self.metric}); no choice of as many can do better than "
            f"{self.radius[-1] / 2:.4g}",
            self.notes,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the chosen ids in order, with the radius after each."""
        return pd.DataFrame({"id": self.ids, "row": self.rows, "radius": self.radius})

    def payload(self) -> dict[str, Any]:
        """Return the chosen rows."""
        return {"params": {}, "metric": self.metric, "centres": self.to_frame().to_dict("records")}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Cover:
        """Return what `save` wrote."""
        table = pd.DataFrame(values["centres"])
        told = Provenance.from_dict(values["provenance"])
        columns = [table[name].to_numpy() for name in ("id", "row", "radius")]
        return cls(columns[0], columns[1], columns[2], values["metric"], provenance=told)


def k_center(
    features: Any, k: int, *, ids: Any = None, metric: str = "euclidean", device: str = "cpu",
    rng: RandomState = 0,
) -> Cover:  # fmt: skip
    """Choose `k` examples, each time the one farthest from those chosen so far.

    Greedy k-centre (Gonzalez 1985): the radius is at most twice the best one. `features` (n, d);
    with metric="cosine" they are scaled to unit length and the distance stays Euclidean. They are
    held in memory as float32.
    Raises InputError for k above n.

    >>> k_center(np.array([[0.0], [1.0], [10.0], [11.0]]), 2).radius[-1]
    np.float64(1.0)
    """
    import torch

    table, own = open_embedding(features)
    if not 1 <= k <= len(table):
        raise InputError(f"k={k} centres cannot be chosen of {len(table)} examples.")
    names = name_rows(len(table), ids, own)
    whole = torch.cat([part for _, part in chunks(table, metric, device)])
    near = torch.full((len(whole),), float("inf"), device=device)
    at = int(as_generator(rng).integers(len(whole)))
    rows, radius, notes = [], [], []
    for _ in range(k):
        rows.append(at)
        near = torch.minimum(near, (whole - whole[at]).norm(dim=1))
        at = int(near.argmax())
        radius.append(float(near[at]))
        if radius[-1] == 0 and len(rows) < k:
            ended = f"{len(rows)} examples cover all exactly: there are no more different ones."
            notes.append(Note("all_covered", "warning", ended))
            break
    told = Provenance(source="the features", n_rows=len(table), seed=seed_of(rng))
    return Cover(names[rows], np.array(rows), np.array(radius), metric, tuple(notes), told)
