"""Does mixing help? Pairs of sources on each test set, and mixtures against their components."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.selectors.mixtures.mixture_fit import MixtureFit

GRID = np.linspace(0.0, 1.0, 101)
CLEAR = 0.9  # of the draws must agree


def dilution(fit: MixtureFit, **scales: float) -> pd.DataFrame:
    """Return, for each target and pair of sources, whether mixing beats the better single one.

    Nguyen et al. 2022 (Quality Not Quantity) found that mixing sources often dilutes the better
    one. The law is scanned along the edge between two sources: `best_share` (of the first
    source, with interval) minimises the loss, `gain` is how far that lies below the better end.
    `dilutes` is the share of draws in which an end is best; `verdict` says "mix", "dilutes" or
    "unclear" (fewer than 90% of the draws agree). Pairs far from any pilot are extrapolations:
    `nearest_pilot` is the largest share that the two had together in a pilot.
    """
    settled = fit.settle_scales(scales)
    tail = (1 - fit.confidence_level) / 2
    rows = []
    for i, j in combinations(range(len(fit.sources)), 2):
        shares = np.zeros((len(GRID), len(fit.sources)))
        shares[:, i], shares[:, j] = GRID, 1 - GRID
        centre = fit.trained.predict(shares, settled)[0]
        draws = fit.draws.predict(shares, settled)
        together = float((fit.pilots.shares[:, i] + fit.pilots.shares[:, j]).max())
        for t, target in enumerate(fit.targets):
            places = draws[:, t].argmin(axis=1)
            at_end = float(np.isin(places, (0, len(GRID) - 1)).mean())
            gains = np.minimum(draws[:, t, 0], draws[:, t, -1]) - draws[:, t].min(axis=1)
            low, high = np.quantile(GRID[places], [tail, 1 - tail])
            gain_low, gain_high = np.quantile(gains, [tail, 1 - tail])
            rows.append({
                "target": target, "first": fit.sources[i], "second": fit.sources[j],
                "best_share": float(GRID[centre[t].argmin()]),
                "share_lower": float(low), "share_upper": float(high),
                "gain": float(min(centre[t, 0], centre[t, -1]) - centre[t].min()),
                "gain_lower": float(gain_low), "gain_upper": float(gain_high),
                "dilutes": at_end,
                "verdict": "dilutes" if at_end >= CLEAR else "mix" if at_end <= 1 - CLEAR
                else "unclear",
                "nearest_pilot": together,
            })  # fmt: skip
    return pd.DataFrame(rows)


def mixture_between_components(
    runs: pd.DataFrame, mixture: str, components: list[str], *, by: str = "source",
    x: str = "accuracy_id", y: str = "accuracy_ood", link: str = "logit",
    confidence_level: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """Return whether a mixture's robustness lies between that of its components.

    Each source's models trace a line of out-of-distribution (`y`) on in-distribution (`x`)
    accuracy on a `link` scale ("logit" or "probit"); all lines share one slope, and a source's
    robustness is its intercept (Nguyen et al. 2022). One row for each component and one for the
    mixture: `effect` (intercept, on the link scale, relative to the mean), its interval from
    least squares, and in the mixture's row `between`: True, False, or None where the intervals
    do not tell.

    Raises InputError for accuracies outside (0, 1), an unknown source, or too few models.
    """
    from scipy.special import logit, ndtri
    from scipy.stats import t as student

    names = [*components, mixture]
    missing = [name for name in names if name not in set(runs[by])]
    if missing:
        raise InputError(f"There are no runs of the source '{missing[0]}' in column '{by}'.")
    rows = runs[runs[by].isin(names)]
    values = rows[[x, y]].to_numpy(float)
    if not ((values > 0) & (values < 1)).all():
        raise InputError(
            f"Accuracies '{x}' and '{y}' must lie strictly between 0 and 1 for the {link} link; "
            "an accuracy of n items may be clipped to [1/2n, 1 - 1/2n]."
        )
    if link not in ("logit", "probit"):
        raise InputError(f"link is '{link}'; it is 'logit' or 'probit'.")
    turned = logit(values) if link == "logit" else ndtri(values)
    design = np.column_stack([turned[:, 0] - turned[:, 0].mean()]
                             + [(rows[by] == name).to_numpy(float) for name in names])  # fmt: skip
    free = len(rows) - design.shape[1]
    if free < 2:
        raise InputError(
            f"{len(rows)} models of {len(names)} sources leave {free} degree(s) of freedom; give "
            "several models of each source."
        )
    solved, _, rank, _ = np.linalg.lstsq(design, turned[:, 1], rcond=None)
    if rank < design.shape[1]:
        raise InputError(f"'{x}' is the same in all models of each source; their slope is unknown.")
    left = turned[:, 1] - design @ solved
    covariance = np.linalg.inv(design.T @ design) * (left @ left) / free
    effect = solved[1:] - solved[1:-1].mean()
    reach = student.ppf(0.5 + confidence_level / 2, free)
    error = reach * np.sqrt(np.diagonal(covariance)[1:])
    table = pd.DataFrame({"source": names, "effect": effect, "ci_lower": effect - error,
                          "ci_upper": effect + error})  # fmt: skip
    table["between"] = [None] * len(components) + [_between(effect, covariance[1:, 1:], reach)]
    return table


def _between(effect: np.ndarray, covariance: np.ndarray, reach: float) -> bool | None:
    """Return whether the last effect lies between the others; None where noise does not tell."""
    low, high = int(effect[:-1].argmin()), int(effect[:-1].argmax())
    last = len(effect) - 1

    def above(i: int, j: int) -> float:
        error = np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
        return float((effect[i] - effect[j]) / error)

    if above(last, high) > reach or above(low, last) > reach:
        return False
    if above(last, low) > reach and above(high, last) > reach:
        return True
    return None
