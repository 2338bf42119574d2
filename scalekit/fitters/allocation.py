"""Spending a budget best: the size of a model, and the data, that make a law's loss smallest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from scalekit.errors import InputError
from scalekit.fitters.law import Law
from scalekit.fitters.laws import CATALOGUE
from scalekit.fitters.model import to_natural

POINTS = 129  # sizes tried between the smallest and the largest possible
ZOOMS = 4  # rounds of 17 points about the best one, each eight times finer


@dataclass(frozen=True)
class Cost:
    """What a run costs in FLOPs: C = 6 N D, or the user's own `function(params, tokens)`.

    With `served_tokens` the cost of use is added, 2 N for every token the model will process
    (Sardana et al. 2023, arXiv:2401.00448): the budget is then for training and serving.
    `function` must grow with tokens and take arrays.
    """

    function: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    served_tokens: float = 0.0

    @property
    def is_plain(self) -> bool:
        """True for C = 6ND."""
        return self.function is None and self.served_tokens == 0

    def tokens(self, params: np.ndarray, flops: np.ndarray) -> np.ndarray:
        """Return the tokens that `flops` pay for at `params`; NaN where they pay for none."""
        left = flops - 2 * params * self.served_tokens
        found = left / (6 * params) if self.function is None else self._invert(params, left)
        return np.where(left > 0, found, np.nan)

    def _invert(self, params: np.ndarray, flops: np.ndarray) -> np.ndarray:
        assert self.function is not None
        low, high = np.zeros(np.broadcast(params, flops).shape), np.log(1e30)
        high = np.full(low.shape, high)
        for _ in range(60):
            middle = 0.5 * (low + high)
            dear = np.asarray(self.function(params, np.exp(middle))) > flops
            low, high = np.where(dear, low, middle), np.where(dear, middle, high)
        return np.exp(0.5 * (low + high))

    def describe(self) -> str:
        """Return the cost in words."""
        words = "C = 6ND" if self.function is None else "the given cost function"
        return f"{words} + 2N x {self.served_tokens:.3g} served" if self.served_tokens else words


@dataclass(frozen=True)
class Allocation:
    """Optimal logs of params and tokens and the loss there, each of shape (draws, budgets).

    NaN where there is no optimum inside the range searched (a law that always wants the smaller
    or the larger model).
    """

    log_params: np.ndarray
    log_tokens: np.ndarray
    loss: np.ndarray


def data_scale(law: Law) -> str:
    """Return the name of the law's scale of data; raise InputError where it has no sizes to set."""
    names = [name for name in ("tokens", "samples") if name in law.scales]
    if "params" not in law.scales or not names:
        raise InputError(
            f"The law '{law.name}' depends on {', '.join(law.scales)}; how to spend a budget can "
            "only be asked of a law of params and tokens, such as 'chinchilla'."
        )
    return names[0]


def loss_at(
    law: Law,
    theta: np.ndarray,
    log_params: np.ndarray,
    tokens: np.ndarray,
    fixed: Mapping[str, float],
) -> np.ndarray:
    """Return the loss at sizes of shape (draws or 1, anything), infinite where undefined."""
    data = data_scale(law)
    scales: dict[str, np.ndarray] = {"params": np.exp(log_params), data: tokens}
    for name in law.scales:
        if name not in scales:
            if name not in fixed:
                raise InputError(
                    f"The law '{law.name}' also depends on {name}; say its value with {name}=."
                )
            scales[name] = np.full(np.shape(log_params), float(fixed[name]))
    with np.errstate(all="ignore"):
        found = law.model.value(theta, scales)
    return np.where(np.isfinite(found), found, np.inf)


def allocate(
    law: Law,
    theta: np.ndarray,
    flops: np.ndarray,
    cost: Cost,
    fixed: Mapping[str, float] | None = None,
    token_cap: float = np.inf,
) -> Allocation:
    """Return the best spending of each budget under each row of `theta` (draws, parameters).

    The laws 'chinchilla' and 'chinchilla_tied' under C = 6ND have a closed form (Hoffmann et al.
    2022, eq. 4); everything else is minimised over log params: a grid, finer grids about its
    best point, a parabola through the last. No more than `token_cap` tokens are used: budgets
    that would need more leave money unspent.
    """
    fixed = fixed or {}
    if _has_closed_form(law) and cost.is_plain and not np.isfinite(token_cap):
        return _closed_form(law, theta, flops)
    flops = np.asarray(flops, dtype=float)
    low = np.zeros((len(theta), len(flops)))
    high = np.broadcast_to(np.log(flops / 6), low.shape)
    if cost.served_tokens:
        high = np.minimum(high, np.log(flops / (2 * cost.served_tokens)) - 1e-9)

    def evaluate(logs: np.ndarray) -> np.ndarray:
        draws, rows, points = logs.shape
        budgets = np.repeat(flops, points)[None]
        flat = logs.reshape(draws, -1)
        tokens = np.minimum(cost.tokens(np.exp(flat), budgets), token_cap)
        return loss_at(law, theta, flat, tokens, fixed).reshape(draws, rows, points)

    logs, at_edge = _minimise(evaluate, low, high)
    tokens = np.minimum(cost.tokens(np.exp(logs), flops[None]), token_cap)
    loss = loss_at(law, theta, logs, tokens, fixed)
    gone = at_edge | ~np.isfinite(loss)
    return Allocation(
        np.where(gone, np.nan, logs),
        np.where(gone, np.nan, np.log(tokens)),
        np.where(gone, np.nan, loss),
    )


def _minimise(
    evaluate: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each of many functions is smallest, and whether that is at an end."""
    unit = np.linspace(0, 1, POINTS)
    grid = low[:, :, None] + (high - low)[:, :, None] * unit
    values = evaluate(grid)
    best = values.argmin(axis=2)
    at_edge = (best == 0) | (best == POINTS - 1)
    step = (high - low) / (POINTS - 1)
    centre = np.take_along_axis(grid, best[:, :, None], 2)[:, :, 0]
    offsets = np.linspace(-1, 1, 17)
    for _ in range(ZOOMS):
        grid = centre[:, :, None] + step[:, :, None] * offsets
        values = evaluate(grid)
        best = np.clip(values.argmin(axis=2), 1, 15)
        centre = np.take_along_axis(grid, best[:, :, None], 2)[:, :, 0]
        step = step / 8
    around = np.stack(
        [np.take_along_axis(values, (best + k)[:, :, None], 2)[:, :, 0] for k in (-1, 0, 1)]
    )
    with np.errstate(all="ignore"):
        bend = around[0] - 2 * around[1] + around[2]
        shift = 0.5 * (around[0] - around[2]) / bend
    # below rounding the parabola knows nothing: its vertex is kept within a step
    sound = (bend > 0) & (np.abs(shift) <= 1)
    return np.where(sound, centre + np.where(sound, shift, 0.0) * step, centre), at_edge


def _has_closed_form(law: Law) -> bool:
    known = (CATALOGUE["chinchilla"].formula, CATALOGUE["chinchilla_tied"].formula)
    return law.formula in known


def _closed_form(law: Law, theta: np.ndarray, flops: np.ndarray) -> Allocation:
    natural = dict(zip(law.names, to_natural(theta, law.parameters).T[:, :, None], strict=True))
    alpha = natural["alpha"]
    beta = natural.get("beta", alpha)
    logs = np.log(np.asarray(flops, dtype=float) / 6)[None]
    with np.errstate(all="ignore"):
        ratio = np.log(alpha * natural["A"] / (beta * natural["B"])) / (alpha + beta)
        log_params = ratio + beta / (alpha + beta) * logs
        log_tokens = logs - log_params
        loss = (
            natural["E"]
            + natural["A"] * np.exp(-alpha * log_params)
            + natural["B"] * np.exp(-beta * log_tokens)
        )
    gone = ~np.isfinite(loss) | (alpha <= 0) | (beta <= 0)
    return Allocation(*(np.where(gone, np.nan, a) for a in (log_params, log_tokens, loss)))
