"""Which examples to keep. Names are resolved on first use."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "PruningFrontier": "kept_frontier",
    "Selection": "selection",
    "prune": "choosing",
    "pruning_frontier": "kept_frontier",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
