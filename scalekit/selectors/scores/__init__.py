"""Per-example scores: which examples matter. Names are resolved on first use."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Recorder": "recorder",
    "Score": "catalogue",
    "ScoreTable": "table",
    "gradient_coherence": "coherence",
    "open_scores": "table",
    "read_dynamics": "dynamics",
    "score": "scoring",
    "scores": "catalogue",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'scalekit.selectors.scores' has no attribute '{name}'")
    return getattr(importlib.import_module(f"scalekit.selectors.scores.{_PUBLIC[name]}"), name)
