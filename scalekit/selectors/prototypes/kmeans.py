"""k-means in torch: chunked, so that a million rows need little memory; on CPU and GPU alike.

Centres are fitted to a sample (256 rows a centre suffice for the objective: faiss, and
shared measurements), then every row is assigned. Products run in bfloat16 where that is faster;
the sums that move the centres stay float32, and distances reported are float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalekit.errors import InputError
from scalekit.selectors.prototypes.features import chunks

if TYPE_CHECKING:
    from torch import Tensor

PER_CENTRE = 256
BLOCK = 4_096  # rows whose distances to all centres are held at once
FEW_CENTRES, SPREAD_ROWS, TRIES = 100, 8_192, 4
STILL = 1e-4  # relative gain of the objective below which iterations end
METRICS = ("cosine", "euclidean")


@dataclass(frozen=True)
class Clusters:
    """Centres (k, d); of every row its cluster and distance (n,): 1 - cosine, or Euclidean."""

    centres: np.ndarray
    cluster: np.ndarray
    distance: np.ndarray
    iterations: int


def fit_clusters(
    features: np.ndarray,
    k: int,
    rng: np.random.Generator,
    metric: str = "cosine",
    *,
    per_centre: int = PER_CENTRE,
    iterations: int = 10,
    device: str = "cpu",
    half: bool = True,
) -> Clusters:
    """Return `k` clusters of features (n, d); see `prototypes` for the arguments."""
    import torch

    if metric not in METRICS:
        raise InputError(f"metric must be 'cosine' or 'euclidean'; got '{metric}'.")
    rows = len(features)
    half = half and metric == "cosine"  # bfloat16 cannot tell distances far from the origin
    if not 1 <= k <= rows:
        raise InputError(f"k={k} clusters cannot be made of {rows} examples. Give 1 to {rows}.")
    count = min(rows, max(per_centre * k, k))
    drawn = (
        np.sort(rng.choice(rows, size=count, replace=False)) if count < rows else np.arange(rows)
    )
    sample = torch.empty((count, features.shape[1]), device=device)
    for at, part in chunks(features, metric, device, drawn):
        sample[at] = part
    centres = _spread(sample, k, rng) if k <= FEW_CENTRES else sample[_draw(count, k, rng, device)]
    before, done = np.inf, 0
    while done < iterations:
        done += 1
        nearest, near = _assign(sample, centres, metric, half)
        objective = float(near.double().mean())
        centres = _move(sample, nearest, near, centres, metric, rng)
        if done > 1 and before - objective <= STILL * before:
            break
        before = objective
    cluster = np.empty(rows, dtype=np.int32)
    distance = np.empty(rows, dtype=np.float32)
    for at, part in chunks(features, metric, device):
        mine, _ = _assign(part, centres, metric, half)
        cluster[at] = mine.cpu().numpy()
        distance[at] = distance_to(part, centres[mine], metric).cpu().numpy()
    return Clusters(centres.cpu().numpy(), cluster, distance, done)


def _draw(count: int, k: int, rng: np.random.Generator, device: str) -> Tensor:
    import torch

    return torch.from_numpy(rng.choice(count, size=k, replace=False)).to(device)


def _spread(sample: Tensor, k: int, rng: np.random.Generator) -> Tensor:
    """Return first centres that are far apart: k-means++ (Arthur & Vassilvitskii 2007).

    Of a few candidates drawn with odds of the squared distance the best one is taken. Worth its k
    passes for few centres only; many random ones are spread by their number.
    """
    import torch

    part = sample[
        torch.from_numpy(np.sort(rng.permutation(len(sample))[:SPREAD_ROWS])).to(sample.device)
    ]
    chosen = [int(rng.integers(len(part)))]
    near = ((part - part[chosen[0]]) ** 2).sum(1)
    for _ in range(k - 1):
        odds = near.double().cpu().numpy()
        odds = odds / odds.sum() if odds.sum() > 0 else np.full(len(odds), 1 / len(odds))
        drawn = torch.from_numpy(rng.choice(len(part), size=TRIES, p=odds)).to(part.device)
        after = torch.minimum(near, ((part[drawn][:, None] - part) ** 2).sum(2))
        best = int(after.sum(1).argmin())
        chosen.append(int(drawn[best]))
        near = after[best]
    return part[chosen].clone()


def distance_to(part: Tensor, centres: Tensor, metric: str) -> Tensor:
    """Return the distance of each row to its centre: 1 - cosine, or Euclidean."""
    if metric == "cosine":
        return (1 - (part * centres).sum(1)).clamp_min(0)
    return (part - centres).norm(dim=1)


def _assign(part: Tensor, centres: Tensor, metric: str, half: bool) -> tuple[Tensor, Tensor]:
    """Return the nearest centre of each row, and a distance to rank by: 1 - cosine, or squared."""
    import torch

    kind = torch.bfloat16 if half else torch.float32
    turned = centres.to(kind).T.contiguous()
    lengths = None if metric == "cosine" else 0.5 * (centres * centres).sum(1)
    best = torch.empty(len(part), dtype=torch.long, device=part.device)
    value = torch.empty(len(part), device=part.device)
    for start in range(0, len(part), BLOCK):
        block = part[start : start + BLOCK].to(kind)
        product = block @ turned
        if lengths is not None:
            product = product.float() - lengths
        near = product.max(dim=1)
        best[start : start + BLOCK], value[start : start + BLOCK] = (
            near.indices,
            near.values.float(),
        )
    if metric == "cosine":
        return best, 1 - value
    return best, ((part * part).sum(1) - 2 * value).clamp_min(0)


def _move(
    sample: Tensor, cluster: Tensor, distance: Tensor, centres: Tensor, metric: str,
    rng: np.random.Generator,
) -> Tensor:  # fmt: skip
    """Return the means of the clusters; an empty one restarts at a row that is far from its own."""
    import torch

    k = len(centres)
    total = torch.zeros_like(centres).index_add_(0, cluster, sample)
    size = torch.bincount(cluster, minlength=k)
    empty = torch.nonzero(size == 0)[:, 0]
    if len(empty):
        far = torch.topk(distance, min(4 * len(empty), len(distance))).indices
        drawn = rng.choice(len(far), size=len(empty), replace=len(far) < len(empty))
        total[empty] = sample[far[torch.from_numpy(drawn).to(far.device)]]
        size[empty] = 1
    moved = total / size[:, None]
    if metric == "cosine":
        length = torch.linalg.vector_norm(moved, dim=1, keepdim=True)
        moved = torch.where(length > 0, moved / length.clamp_min(1e-30), centres)
    return moved
