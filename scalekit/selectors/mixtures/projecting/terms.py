"""The terms of the surface: shares, their products, the distance, each for height and slope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalekit.selectors.mixtures.projecting.surface import Design

MOST_SOURCES_FOR_PRODUCTS = 12


@dataclass(frozen=True)
class Terms:
    """How mixtures, distances and sizes become columns: centres and scales from the pilots.

    `centre` holds the mean of every raw column, `scale` one number a column (equal within a
    group); `log_size` is the mean log size, `with_sizes` whether there is a slope at all.
    """

    centre: np.ndarray
    scale: np.ndarray
    log_size: float
    with_sizes: bool
    with_distance: bool

    @classmethod
    def from_pilots(
        cls, mixtures: np.ndarray, distance: np.ndarray | None, log_samples: np.ndarray
    ) -> Terms:
        """Return the terms scaled so that every group has total variance one on the pilots."""
        raw, group = _raw(mixtures, distance)
        variance = raw.var(axis=0)
        total = np.sqrt(np.bincount(group, weights=variance))
        total[total == 0] = 1.0
        several = bool(np.ptp(log_samples) > 1e-12)
        return cls(
            raw.mean(axis=0), total[group], float(log_samples.mean()), several,
            distance is not None,
        )  # fmt: skip

    def design(
        self, mixtures: np.ndarray, distance: np.ndarray | None, log_samples: np.ndarray
    ) -> Design:
        """Return the design (r, q) for mixtures (r, m), distances (r,), log sizes (r,)."""
        raw, group = _raw(mixtures, distance if self.with_distance else None)
        height = (raw - self.centre) / self.scale
        ones = np.ones((len(mixtures), 1))
        if not self.with_sizes:
            return Design(np.column_stack([ones, height]), np.r_[-1, group])
        along = (log_samples - self.log_size)[:, None]
        columns = np.column_stack([ones, along, height, height * along])
        return Design(columns, np.r_[-1, -1, group, group + group.max() + 1])


def _raw(mixtures: np.ndarray, distance: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    count = mixtures.shape[1]
    parts, groups = [mixtures], [np.zeros(count, dtype=int)]
    if count <= MOST_SOURCES_FOR_PRODUCTS:
        i, j = np.triu_indices(count, 1)
        parts.append(mixtures[:, i] * mixtures[:, j])
        groups.append(np.full(len(i), 1))
    if distance is not None:
        parts.append(np.asarray(distance, dtype=float)[:, None])
        groups.append(np.full(1, groups[-1][0] + 1))
    return np.column_stack(parts), np.concatenate(groups)
