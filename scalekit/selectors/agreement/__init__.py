"""Whether scores agree, and which labels they call wrong. Names are resolved on first use."""

from __future__ import annotations

from scalekit.lazy import names_on_use

_PUBLIC = {
    "Agreement": "agreeing",
    "Suspects": "suspects",
    "agreement": "agreeing",
    "alternate": "alternation",
    "mislabelled": "suspects",
}

__all__ = list(_PUBLIC)
__getattr__ = names_on_use(__name__, _PUBLIC)
