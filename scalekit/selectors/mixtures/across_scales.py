"""How the best mixture moves with scale: geometric amounts, as AutoScale has them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalekit.errors import InputError
from scalekit.selectors.mixtures.pilots import by_name


def extrapolate_amounts(
    amounts: Mapping[float, Mapping[str, float]], budget: float
) -> dict[str, float]:
    """Return the best amount of each source at `budget`, from the best amounts at other budgets.

    AutoScale (Kang et al. 2025, arXiv:2407.20177, theorem 1): where each source's loss is a power
    law, the best amounts are geometric in the budget: `n3 = n2 * (n2 / n1)`. So the logarithm of
    each amount is a line in the logarithm of its own budget's sum; through two budgets it is
    exact, through more it is fitted by least squares. The result is scaled to sum to `budget`.

    Raises InputError for fewer than two budgets or amounts that are not positive.

    >>> found = extrapolate_amounts({1: {"a": 0.8, "b": 0.2}, 4: {"a": 2.4, "b": 1.6}}, 2)
    >>> {name: round(value, 3) for name, value in found.items()}
    {'a': 1.42, 'b': 0.58}
    """
    if len(amounts) < 2:
        raise InputError("Give the best amounts at two budgets or more.")
    if not budget > 0 or min(amounts) <= 0:
        raise InputError("Budgets must be positive.")
    names = list(next(iter(amounts.values())))
    table = np.array([by_name(row, names, f"the amounts at {at:g}") for at, row in amounts.items()])
    if not (np.isfinite(table) & (table > 0)).all():
        raise InputError("Amounts must be positive: leave out a source that is never drawn from.")
    logs = np.log(list(amounts))
    line = np.polyfit(logs, np.log(table), 1)
    found = np.exp(line[0] * np.log(budget) + line[1])
    return dict(zip(names, (found * budget / found.sum()).tolist(), strict=True))
