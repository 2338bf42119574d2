"""Which examples to keep. Names are resolved on first use."""

from __future__ import annotations

from scalekit.lazy import names_on_use

_PUBLIC = {
    "PruningFrontier": "kept_frontier",
    "Selection": "selection",
    "prune": "choosing",
    "pruning_frontier": "kept_frontier",
}

__all__ = list(_PUBLIC)
__getattr__ = names_on_use(__name__, _PUBLIC)
