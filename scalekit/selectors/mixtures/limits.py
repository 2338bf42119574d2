"""What a mixture may be: caps, minimum shares, groups, epochs of limited data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.selectors.mixtures.pilots import by_name
from scalekit.units import format_quantity

NEGLIGIBLE = 1e-6  # a share
AVAILABLE = "available (--counts)"  # what messages call it
SLACK = 1e-9  # limits that leave no interior are widened by this much


@dataclass(frozen=True)
class Limits:
    """Linear limits on shares: `matrix @ shares <= bound`, and shares sum to one.

    `labels` names each row as messages do: ("web", "cap"). `inside` is a mixture with as much
    slack as possible to every limit.
    """

    sources: tuple[str, ...]
    matrix: np.ndarray
    bound: np.ndarray
    labels: tuple[tuple[str, str], ...]
    inside: np.ndarray
    upper: np.ndarray
    lower: np.ndarray

    def slack(self, shares: np.ndarray) -> np.ndarray:
        """Return how far shares (..., sources) are from each limit; negative where violated."""
        return np.asarray(self.bound - shares @ self.matrix.T)

    def clip(self, shares: np.ndarray) -> np.ndarray:
        """Return shares with the rounding of the solver removed: what is nearly zero is zero.

        What that takes away goes to the source with the most room under its limits.
        """
        found = np.clip(shares, self.lower, self.upper)
        found = np.where(found - self.lower < NEGLIGIBLE, self.lower, found)
        upward = self.matrix > 0
        slack = self.slack(found)[..., None] / np.where(upward, self.matrix, 1.0)
        roomiest = np.where(upward, slack, np.inf).min(axis=-2).argmax(axis=-1)
        missing = 1 - found.sum(axis=-1, keepdims=True)
        return np.asarray(found + missing * (np.arange(found.shape[-1]) == roomiest[..., None]))


def make_limits(
    sources: Sequence[str],
    caps: Mapping[str, float] | None = None,
    minimum: Mapping[str, float] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    available: Mapping[str, float] | None = None,
    budget: float | None = None,
    max_epochs: float | None = None,
) -> Limits:
    """Return limits on the shares of `sources`.

    `caps` and `minimum` map a source or a group to its largest and smallest share; `groups` maps
    a name to its sources. `available` holds the tokens of each source (all of them, by name);
    with a `budget` of tokens to draw, no source may be seen more than `max_epochs` times. A source
    of which there is nothing has no share.

    Raises ColumnNotFoundError for an unknown name, InputError for shares outside [0, 1] and for
    limits that no mixture meets, saying by how much.

    >>> make_limits(["web", "code"], caps={"web": 0.7}).upper.tolist()
    [0.7, 1.0]
    """
    sources = tuple(sources)
    members = _group_members(sources, groups or {})
    lower, upper = np.zeros(len(sources)), np.ones(len(sources))
    why = ["cap"] * len(sources)
    rows: list[tuple[np.ndarray, float, tuple[str, str]]] = []
    for name, share in _fractions(caps, "caps", sources, members):
        if name in sources:
            upper[sources.index(name)] = share
        else:
            rows.append((members[name], share, (name, "cap")))
    for name, share in _fractions(minimum, "minimum", sources, members):
        if name in sources:
            lower[sources.index(name)] = share
        else:
            rows.append((-members[name], -share, (name, "minimum")))
    for k, epoch_cap in enumerate(_epoch_caps(sources, available, budget, max_epochs)):
        if epoch_cap < upper[k]:
            upper[k], why[k] = epoch_cap, "epochs"
    if available is not None:
        for k, count in enumerate(by_name(available, sources, AVAILABLE)):
            if count == 0:
                upper[k], why[k] = 0.0, "no data"
    _check_bounds(sources, lower, upper, why, available, budget, max_epochs)
    identity = np.eye(len(sources))
    box = [(identity[k], upper[k], (name, why[k])) for k, name in enumerate(sources)]
    box += [(-identity[k], -lower[k], (name, "minimum")) for k, name in enumerate(sources)]
    matrix = np.array([row for row, _, _ in (*box, *rows)])
    bound = np.array([limit for _, limit, _ in (*box, *rows)])
    labels = tuple(label for _, _, label in (*box, *rows))
    bound, inside = _interior(matrix, bound, labels)
    return Limits(sources, matrix, bound, labels, inside, upper, lower)


def _group_members(
    sources: tuple[str, ...], groups: Mapping[str, Sequence[str]]
) -> dict[str, np.ndarray]:
    found = {}
    for name, members in groups.items():
        if name in sources:
            raise InputError(f"The group '{name}' has the name of a source. Rename the group.")
        if isinstance(members, str):
            members = [members]
        by_name(dict.fromkeys(members, 1.0), sources, f"the group '{name}'", missing=0.0)
        found[name] = np.array([float(source in members) for source in sources])
    return found


def _fractions(
    given: Mapping[str, float] | None,
    what: str,
    sources: tuple[str, ...],
    groups: Mapping[str, np.ndarray],
) -> list[tuple[str, float]]:
    names = (*sources, *groups)
    for name, share in (given or {}).items():
        if name not in names:
            raise ColumnNotFoundError(
                f"{what}: there is no source or group '{name}'. {did_you_mean(str(name), names)}"
            )
        if not 0 <= float(share) <= 1:
            raise InputError(
                f"{what}: the share of '{name}' is {share:g}; it must lie between 0 and 1. "
                "For a number of tokens, give available (--counts), budget and max_epochs."
            )
    return [(name, float(share)) for name, share in (given or {}).items()]


def _epoch_caps(
    sources: tuple[str, ...],
    available: Mapping[str, float] | None,
    budget: float | None,
    max_epochs: float | None,
) -> np.ndarray:
    if max_epochs is None:
        return np.ones(len(sources))
    if available is None or budget is None:
        raise InputError(
            "max_epochs needs to know how much there is and how much is drawn: give available "
            "(--counts: tokens of every source) and budget (tokens to train on)."
        )
    if not (budget > 0 and max_epochs > 0):
        raise InputError(f"budget ({budget:g}) and max_epochs ({max_epochs:g}) must be positive.")
    return np.minimum(by_name(available, sources, AVAILABLE) * max_epochs / budget, 1.0)


def _check_bounds(
    sources: tuple[str, ...],
    lower: np.ndarray,
    upper: np.ndarray,
    why: list[str],
    available: Mapping[str, float] | None,
    budget: float | None,
    max_epochs: float | None,
) -> None:
    for k, name in enumerate(sources):
        if lower[k] > upper[k] + SLACK:
            raise InputError(
                f"No mixture meets the limits: '{name}' needs a share of {lower[k]:.4g} at the "
                f"least, but its {why[k]} allows {upper[k]:.4g}."
            )
    if upper.sum() < 1 - SLACK:
        what = "The caps"
        advice = "Raise a cap."
        if "epochs" in why and available is not None and budget is not None and max_epochs:
            most = max_epochs * sum(available.values())
            what = f"At a budget of {format_quantity(budget)} the caps (and {max_epochs:g} epochs)"
            advice = (
                f"{max_epochs:g} epochs of everything are {format_quantity(most)}: lower the "
                "budget, or allow more epochs."
            )
        raise InputError(f"{what} sum to {upper.sum():.4g}, less than 1, so that no mixture meets "
                         f"them. {advice}")  # fmt: skip
    if lower.sum() > 1 + SLACK:
        raise InputError(
            f"The minimum shares sum to {lower.sum():.4g}, more than 1. Lower some of them."
        )


def _interior(
    matrix: np.ndarray, bound: np.ndarray, labels: tuple[tuple[str, str], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds, widened where they leave no interior, and the mixture of most slack."""
    from scipy.optimize import linprog

    count = matrix.shape[1]
    extended = np.hstack([matrix, np.ones((len(matrix), 1))])
    found = linprog(
        np.r_[np.zeros(count), -1.0],
        A_ub=extended,
        b_ub=bound,
        A_eq=[[1.0] * count + [0.0]],
        b_eq=[1.0],
        bounds=[(None, None)] * (count + 1),
    )
    assert found.x is not None, found.message
    inside, slack = np.asarray(found.x[:-1]), float(found.x[-1])
    if slack < -SLACK:
        tight = matrix @ inside - bound > -0.5 * slack
        names = [f"{name} ({kind})" for (name, kind), hit in zip(labels, tight, strict=True) if hit]
        raise InputError(
            f"No mixture meets all limits together; they clash by {-slack:.3g}: "
            f"{', '.join(names[:6])}. Loosen one of them."
        )
    if slack < SLACK:
        return bound + 2 * SLACK, inside
    return bound, inside
