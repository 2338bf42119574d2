"""Which pre-trained model suits a labelled data set. Names are resolved on first use."""

from __future__ import annotations

from scalekit.lazy import names_on_use

_PUBLIC = {"Transferability": "ranking", "measures": "ranking", "transferability": "ranking"}

__all__ = list(_PUBLIC)
__getattr__ = names_on_use(__name__, _PUBLIC)
