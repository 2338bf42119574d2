"""Mixtures of sources: what a mixture will reach, and which one to take.

Names are resolved on first use, so that importing the package loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "project": "scalekit.selectors.mixtures.projection",
    "Projection": "scalekit.selectors.mixtures.projection",
    "MixtureChoice": "scalekit.selectors.mixtures.choice",
    "project_log_samples": "scalekit.selectors.mixtures.published",
    "noise_amplification": "scalekit.selectors.mixtures.published",
    "stage_one_features": "scalekit.selectors.mixtures.published",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
