"""Prototypes, near copies and cover sets of feature vectors. Resolved on first use."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Copies": "copies",
    "Cover": "covering",
    "Prototypes": "finding",
    "k_center": "covering",
    "near_duplicates": "copies",
    "prototypes": "finding",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
