"""Prototypes, near copies and cover sets of feature vectors. Resolved on first use."""

from __future__ import annotations

from scalekit.lazy import names_on_use

_PUBLIC = {
    "Copies": "copies",
    "Cover": "covering",
    "Prototypes": "finding",
    "k_center": "covering",
    "near_duplicates": "copies",
    "prototypes": "finding",
}

__all__ = list(_PUBLIC)
__getattr__ = names_on_use(__name__, _PUBLIC)
