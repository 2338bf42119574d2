"""Small loss and linear separation, in turn: wrong labels and foreign examples (LSA)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.selectors.agreement.suspects import THRESHOLD, Suspects, high_mode

FEWEST = 5  # examples on either side of the separation


def alternate(
    loss: Any,
    features: Any,
    *,
    labels: Any = None,
    ids: Any = None,
    rounds: int = 2,
    retrain: Callable[[np.ndarray], np.ndarray] | None = None,
    threshold: float = THRESHOLD,
) -> Suspects:
    """Find examples that do not belong, by small loss and linear separation in turn.

    In the features (n, d) of a network trained without labels, what comes from elsewhere is nearly
    linearly separable from what belongs; small losses tell roughly which is which. Each round: the
    high mode of the loss (two normal modes) marks examples; an unregularised, class-balanced
    logistic regression on the standardised features learns the marks and speaks its own
    probability; where `retrain(weights)` is given, it trains anew with weights (n,) = 1 - that
    probability and returns new losses (n,). A near-perfect separation alone would drop clean,
    visually simple examples: the result is the mean of the last separation and the last small loss.

    Raises InputError for other lengths, NaN, or where one side is nearly empty.
    Source: Albert et al. 2023, "An accurate detection is not all you need to combat label noise".

    >>> rng = np.random.default_rng(0)
    >>> foreign = np.arange(200) < 20
    >>> features = rng.standard_normal((200, 5)) + 4 * foreign[:, None]
    >>> loss = rng.gamma(1, 0.2, 200) + 1.5 * foreign
    >>> bool((alternate(loss, features).table["suspect"].to_numpy() == foreign).mean() > 0.95)
    True
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    table, losses = np.asarray(features, dtype=float), np.asarray(loss, dtype=float)
    if table.ndim != 2 or losses.shape != (len(table),):
        raise InputError(f"loss has shape {losses.shape} and features {table.shape}; (n,) and "
                         "(n, d) are needed.")  # fmt: skip
    for name, values in (("features", table), ("loss", losses[:, None])):
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            raise InputError(f"{name}: row {int(np.flatnonzero(bad)[0])} holds NaN or infinity.")
    scaled = StandardScaler().fit_transform(table)
    separated = small = high_mode(losses)
    for number in range(rounds):
        marks = (small >= threshold) if number == 0 else (separated + small) / 2 >= threshold
        if min(marks.sum(), (~marks).sum()) < FEWEST:
            raise InputError(
                f"Small loss marks {int(marks.sum())} of {len(marks)} examples: too one-sided to "
                "learn a separation from. Use losses of an earlier epoch."
            )
        model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=1000)
        separated = model.fit(scaled, marks).predict_proba(scaled)[:, 1]
        if retrain is not None and number + 1 < rounds:
            losses = np.asarray(retrain(1 - separated), dtype=float)
            small = high_mode(losses)
    probability = (separated + small) / 2
    found = pd.DataFrame({
        "id": np.arange(len(table)) if ids is None else np.asarray(ids), "probability": probability,
        "suspect": probability >= threshold, "small_loss": small, "separation": separated,
    })  # fmt: skip
    if labels is not None:
        found.insert(1, "label", np.asarray(labels))
    notes = () if retrain is not None else (
        Note("one_training", "info", "One training's losses served all rounds; with retrain= the "
             "losses are renewed on what is trusted."),
    )  # fmt: skip
    return Suspects(found, "alternation", threshold, notes,
                    Provenance(source="losses and features", n_rows=len(found)))  # fmt: skip
