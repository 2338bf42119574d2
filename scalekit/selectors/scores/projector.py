"""Random signs that turn a gradient into a short sketch, the same for the same parameter."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Projector:
    """Rademacher codes of each parameter, made from `seed` and its name; width**2 numbers."""

    def __init__(self, width: int, seed: int) -> None:
        self.width, self.seed = width, seed
        self._codes: dict[tuple[str, str], Tensor] = {}

    def signs(self, key: str, rows: int, device: torch.device) -> Tensor:
        """Return the codes [rows, width] of `key`: +-1 / sqrt(width)."""
        import torch

        known = (key, str(device))
        if known not in self._codes:
            bits = torch.randint(0, 2, (rows, self.width), generator=self._generator(key))
            self._codes[known] = ((2 * bits - 1).float() / self.width**0.5).to(device)
        return self._codes[known]

    def scatter(self, key: str, values: Tensor) -> Tensor:
        """Return the count sketch of `values` [B, P]: each entry, signed, into one bin."""
        import torch

        bins_key, signs_key = (key + "/bins", str(values.device)), (key + "/sign", "")
        if bins_key not in self._codes:
            generator = self._generator(key)
            size = values.shape[1]
            bins = torch.randint(0, self.width**2, (size,), generator=generator)
            signs = 2 * torch.randint(0, 2, (size,), generator=generator) - 1
            self._codes[bins_key] = bins.to(values.device)
            self._codes[signs_key] = signs.to(values.device)
        signed = values * self._codes[signs_key].to(values.device)
        zeros = values.new_zeros(len(values), self.width**2)
        return zeros.index_add_(1, self._codes[bins_key], signed)

    def _generator(self, key: str) -> torch.Generator:
        import torch

        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed}/{key}".encode()))


def outer(left: Tensor, right: Tensor) -> Tensor:
    """Return sum_t left_t right_t^T, flat [B, width**2]."""
    return (left.transpose(1, 2) @ right).flatten(1)
