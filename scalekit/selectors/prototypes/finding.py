"""`prototypes`: how far each example is from the centre of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.prototypes.features import chunks, name_rows, open_embedding
from scalekit.selectors.prototypes.kmeans import METRICS, PER_CENTRE, distance_to, fit_clusters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASSES_A_CENTRE = (
    1000  # self-supervised prototypes: about as many clusters as ImageNet has classes
)


@dataclass(frozen=True, eq=False, repr=False)
class Prototypes(Result):
    """Examples and their prototypes: `cluster` and `distance` (n,), `centroids` (k, d).

    A large distance is a hard (untypical) example. `names` are the classes of the centroids where
    labels were given. The distance is exact for these centroids; how far they depend on the seed
    is told by clustering again.
    """

    kind: ClassVar[str] = "prototypes"
    ids: np.ndarray
    cluster: np.ndarray
    distance: np.ndarray
    centroids: np.ndarray
    metric: str
    names: tuple[str, ...] = ()
    iterations: int = 0
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def summary(self) -> str:
        """Return the number of prototypes, their sizes and the distances as text."""
        sizes = np.bincount(self.cluster, minlength=len(self.centroids))
        cut = np.quantile(self.distance, [0.05, 0.5, 0.95])
        kind = "class means" if self.names else f"clusters ({self.iterations} iterations)"
        return with_notes(
            f"{len(self.distance):,} examples, {len(self.centroids)} {kind} of {sizes.min()} to "
            f"{sizes.max()} examples\n{self.metric} distance: mean {self.distance.mean():.4g}, 5% "
            f"{cut[0]:.4g}, median {cut[1]:.4g}, 95% {cut[2]:.4g}",
            self.notes,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return id, cluster and distance (as the score `prototypes`), one row an example."""
        return pd.DataFrame({"id": self.ids, "cluster": self.cluster, "prototypes": self.distance})

    def payload(self) -> dict[str, Any]:
        """Return the settings and the sizes of the clusters."""
        return {
            "params": {}, "metric": self.metric, "names": list(self.names),
            "iterations": self.iterations, "n_examples": len(self.distance),
            "sizes": np.bincount(self.cluster, minlength=len(self.centroids)).tolist(),
        }  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return ids, clusters, distances and centroids."""
        ids = self.ids.astype(str) if self.ids.dtype.kind == "O" else self.ids
        return {"ids": ids, "cluster": self.cluster, "distance": self.distance,
                "centroids": self.centroids}  # fmt: skip

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Prototypes:
        """Return what `save` wrote."""
        return cls(
            arrays["ids"], arrays["cluster"], arrays["distance"], arrays["centroids"],
            values["metric"], tuple(values["names"]), values["iterations"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the distribution of distances."""
        from scalekit.axes import BLUE, new_axes

        ax = new_axes(ax)
        ax.hist(self.distance, bins=40, color=BLUE, alpha=0.8)
        ax.set(xlabel=f"{self.metric} distance to the own prototype", ylabel="examples")
        ax.set_title(f"{len(self.distance):,} examples, {len(self.centroids)} prototypes",
                     fontsize="medium")  # fmt: skip
        return ax


def prototypes(
    features: Any,
    k: int | None = None,
    labels: Any = None,
    *,
    ids: Any = None,
    metric: str = "cosine",
    per_centre: int = PER_CENTRE,
    iterations: int = 10,
    device: str = "cpu",
    half: bool = True,
    rng: RandomState = 0,
) -> Prototypes:
    """Return each example's distance to its prototype: a large one means untypical, hard.

    `features` (n, d) are an embedding: an array, a memory map, a table or a file (a .npy is read in
    chunks; tables may name ids). With `labels` (n,) the prototypes are class means (supervised),
    else the centres of `k` clusters (self-supervised; default: 1,000, at most one for 20
    examples). Centres are fitted to `per_centre` rows each, all rows are assigned; with `half`
    products for cosines are bfloat16.

    Raises InputError for k above n, NaN (naming the row), or labels of another length.
    Source: Sorscher et al. 2022, section 5; cosine distance as in their released scores.

    >>> rng = np.random.default_rng(0)
    >>> features = np.repeat(np.eye(3), 10, axis=0) + 0.01 * rng.standard_normal((30, 3))
    >>> sorted(np.bincount(prototypes(features, labels=np.repeat([0, 1, 2], 10)).cluster).tolist())
    [10, 10, 10]
    """
    table, own = open_embedding(features)
    rows = len(table)
    names = name_rows(rows, ids, own)
    told = Provenance(source=str(features) if isinstance(features, str) else "the features",
                      n_rows=rows, seed=seed_of(rng))  # fmt: skip
    if labels is not None:
        if k is not None:
            raise InputError("Give k or labels, not both: with labels each class is a prototype.")
        return _supervised(table, np.asarray(labels), names, metric, device, told)
    count = min(CLASSES_A_CENTRE, max(rows // 20, 1)) if k is None else k
    found = fit_clusters(table, count, as_generator(rng), metric, per_centre=per_centre,
                         iterations=iterations, device=device, half=half)  # fmt: skip
    return Prototypes(names, found.cluster, found.distance, found.centres, metric, (),
                      found.iterations, (), told)  # fmt: skip


def _supervised(
    table: np.ndarray, labels: np.ndarray, ids: np.ndarray, metric: str, device: str,
    told: Provenance,
) -> Prototypes:  # fmt: skip
    import torch

    if metric not in METRICS:
        raise InputError(f"metric must be 'cosine' or 'euclidean'; got '{metric}'.")
    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        raise InputError(f"labels: row {missing[0]} has none ({len(missing)} in all).")
    if labels.shape != (len(table),):
        raise InputError(f"labels has shape {labels.shape}; {len(table)} rows of features need as "
                         "many labels.")  # fmt: skip
    classes, cluster = np.unique(labels, return_inverse=True)
    places = torch.from_numpy(cluster).to(device)
    total = torch.zeros((len(classes), table.shape[1]), device=device)
    for at, part in chunks(table, metric, device):
        total.index_add_(0, places[at], part)
    centres = total / torch.bincount(places, minlength=len(classes))[:, None]
    if metric == "cosine":
        centres = centres / torch.linalg.vector_norm(centres, dim=1, keepdim=True).clamp_min(1e-30)
    distance = np.empty(len(table), dtype=np.float32)
    for at, part in chunks(table, metric, device):
        distance[at] = distance_to(part, centres[places[at]], metric).cpu().numpy()
    return Prototypes(ids, cluster.astype(np.int32), distance, centres.cpu().numpy(), metric,
                      tuple(map(str, classes)), 0, (), told)  # fmt: skip
