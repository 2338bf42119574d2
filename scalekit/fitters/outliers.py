"""Rows far off the curve: named as the user finds them in the file, with how far off they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scalekit.columns import Locate
from scalekit.notes import Note

OUTLIER = 5.0  # robust deviations from which a row is named
FAR_OUT = 6.0  # robust deviations, and
MATERIAL = 0.05  # share of the loss, from which the note is a warning


def outlier_notes(
    residuals: np.ndarray, loss: np.ndarray, noise: float, on_log: bool, locate: Locate
) -> Iterator[Note]:
    """Yield what to tell of rows far off the curve.

    `residuals` (rows,) are observed against fitted: differences of logs where `on_log`, else of
    losses; `noise` is their robust deviation, `locate` names a row.
    """
    far = np.flatnonzero(np.abs(residuals) > OUTLIER * noise)
    if not far.size or noise == 0:
        return
    with np.errstate(all="ignore"):
        fitted = loss - residuals
        off = np.expm1(residuals) if on_log else residuals / np.abs(fitted)
    worst = far[np.argsort(-np.abs(residuals[far]))]
    more = f"; and {far.size - 3} more" if far.size > 3 else ""
    shown = "; ".join(
        f"{locate(int(k))} ({off[k]:+.1%})" if on_log else f"{locate(int(k))} ({residuals[k]:+.3g})"
        for k in worst[:3]
    )
    grave = (np.abs(residuals[far]) > FAR_OUT * noise) & ~(np.abs(off[far]) <= MATERIAL)
    yield Note(
        "outliers",
        "warning" if grave.any() else "info",
        f"{far.size} row(s) lie more than {OUTLIER:g} robust deviations from the curve: "
        f"{shown}{more}. They are kept"
        + (
            ": a slip in the table, a run that diverged, or a law of the wrong shape?"
            if grave.any()
            else "."
        ),
    )
