"""Per-example scores: which examples matter. Names are resolved on first use."""

from __future__ import annotations

from scalekit.lazy import names_on_use

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
__getattr__ = names_on_use(__name__, _PUBLIC)
