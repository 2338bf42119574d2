"""Which runs lie on the curve: all of them, the best at each scale, or those on the frontier.

The best of a grid is itself random, so a selection is a function of resample counts: it is made
anew inside every resample, and enters the solver as weights.
"""

from __future__ import annotations

import numpy as np

from scalekit.errors import InputError, did_you_mean

SELECTIONS = ("all", "best", "frontier")
OFF_PATH = 0.3  # scatter of log size about a smooth path in log compute: above, sizes are mixed


def check_selection(select: str) -> str:
    """Return `select`; raise InputError where there is no such selection."""
    if select not in (*SELECTIONS, "auto"):
        raise InputError(
            f"There is no selection '{select}'. {did_you_mean(select, (*SELECTIONS, 'auto'))}"
        )
    return select


def guess_selection(along: np.ndarray, others: list[np.ndarray]) -> str:
    """Return "frontier" where runs of several sizes share the same compute, else "all".

    `along` and each of `others` hold the scales of one system's runs. Runs on one path (each
    compute with its own size) follow a curve; runs of a grid of sizes lie above the curve of the
    best ones, and only the best say what the recipe can do.
    """
    if len(along) < 6:
        return "all"
    path = np.vander(np.log(along) - np.log(along).mean(), 3)
    for other in others:
        logs = np.log(other)
        if np.ptp(logs) == 0:
            continue
        left = logs - path @ np.linalg.lstsq(path, logs, rcond=None)[0]
        if np.std(left) > OFF_PATH:
            return "frontier"
    return "all"


def selected_weights(
    select: str, along: np.ndarray, loss: np.ndarray, cells: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return the weight of every row in every resample, (resamples, rows).

    `counts` says how often each row was drawn, `cells` which rows share all scales. "all": the
    counts. "best": the row of lowest loss among those drawn in each cell. "frontier": the drawn
    rows that no drawn row of the same or less compute beats. Ties go to the first row.
    """
    if select == "all":
        return counts
    drawn = np.where(counts > 0, loss, np.inf)
    if select == "best":
        order = np.lexsort((loss, cells))
        first = np.flatnonzero(np.diff(cells[order], prepend=-1))
        before = np.cumsum(counts[:, order] > 0, axis=1)
        start = np.concatenate([np.zeros((len(counts), 1), int), before], axis=1)[:, first]
        rank = before - np.repeat(start, np.diff([*first, len(order)]), axis=1)
        weights = np.zeros(counts.shape)
        weights[:, order] = (rank == 1) & (counts[:, order] > 0)
        return weights
    order = np.lexsort((loss, along))
    best = np.minimum.accumulate(drawn[:, order], axis=1)
    earlier = np.concatenate([np.full((len(counts), 1), np.inf), best[:, :-1]], axis=1)
    weights = np.zeros(counts.shape)
    weights[:, order] = drawn[:, order] < earlier
    return weights
