"""The catalogue of mixing laws: loss as a function of the shares, one entry a law."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.selectors.mixtures.own_laws import Formula
from scalekit.selectors.mixtures.sums import TermSum
from scalekit.selectors.mixtures.terms import (
    Constant,
    Exponential,
    Inverse,
    JointPower,
    Powers,
    ScalePower,
    Term,
)

Build = Callable[[Sequence[str], Sequence[str]], list[Term]]


@dataclass(frozen=True)
class MixingLaw:
    """One mixing law: `build` gives its terms for sources and scales, None for a regression.

    `convex` laws have one best mixture under any linear limits, found for certain. `complexity`
    orders laws for the one-standard-error rule. `amounts` says that the law depends on how much
    of each source there is, so that a repeated token may count for less.
    """

    name: str
    formula: str
    source: str
    complexity: int
    build: Build | None = None
    convex: bool = True
    amounts: bool = False
    takes_scales: bool = False
    extra: str = ""

    @property
    def same_at_all_scales(self) -> bool:
        """Whether the law adds what a scale is worth, so that it does not move the best mixture."""
        return self.name in ("additive", "loglinear", "rational", "exponentials")


def _scale_terms(scales: Sequence[str]) -> list[Term]:
    return [ScalePower(scale) for scale in scales]


def _additive(sources: Sequence[str], scales: Sequence[str]) -> list[Term]:
    return [Constant(), Inverse(sources), *_scale_terms(scales)]


def _exponentials(count: int) -> Build:
    def build(sources: Sequence[str], scales: Sequence[str]) -> list[Term]:
        labels = [""] if count == 1 else [str(k + 1) for k in range(count)]
        exponentials = [Exponential(sources, label) for label in labels]
        return [Constant(), *exponentials, *_scale_terms(scales)]

    return build


def _rational(sources: Sequence[str], scales: Sequence[str]) -> list[Term]:
    parts = [Inverse(sources, exponents=False, label=str(k + 1)) for k in range(2)]
    return [Constant(), *parts, *_scale_terms(scales)]


def _bimix(sources: Sequence[str], scales: Sequence[str]) -> list[Term]:
    return [Powers(sources, scales[-1] if scales else None)]


def _joint(sources: Sequence[str], scales: Sequence[str]) -> list[Term]:
    if not scales:
        raise InputError(
            "The law 'joint' needs runs of several scales: name the columns, scales=['params', "
            "'tokens']. At one scale it is the law 'additive'."
        )
    return [Constant(), Inverse(sources), *[JointPower(sources, scale) for scale in scales]]


LAWS = {
    law.name: law
    for law in (
        MixingLaw("loglinear", "E + exp(sum_i t_i h_i)",
                  "Ye et al. 2025, arXiv:2403.16952 eq. 1; Olmix", 1, _exponentials(1),
                  takes_scales=True),
        MixingLaw("bimix", "sum_i A_i / (h_i + 0.001)**alpha_i",
                  "Ge et al. 2024, arXiv:2405.14908, summed over sources", 2, _bimix,
                  amounts=True, takes_scales=True),
        MixingLaw("additive", "E + 1 / (c + sum_i C_i h_i**gamma_i), gamma_i <= 1",
                  "Shukor et al. 2025, arXiv:2507.09404, additive; the cap makes it convex", 3,
                  _additive, amounts=True, takes_scales=True),
        MixingLaw("rational", "E + sum_k 1 / (c_k + sum_i l_ki h_i), k = 1, 2",
                  "Hashimoto 2021, Model performance scaling with multiple data sources", 4,
                  _rational, amounts=True, takes_scales=True),
        MixingLaw("exponentials", "E + sum_k exp(sum_i t_ki h_i), k = 1, 2, 3",
                  "Ye et al. 2025, arXiv:2403.16952, implicit domains", 5, _exponentials(3),
                  takes_scales=True),
        MixingLaw("joint", "E + 1 / (c + sum_i C_i h_i**gamma_i) + (sum_i a_i h_i)**g / N**alpha",
                  "Shukor et al. 2025, arXiv:2507.09404, joint", 6, _joint, convex=False,
                  takes_scales=True),
        MixingLaw("quadratic", "b + sum_i b_i h_i + sum_ij b_ij h_i h_j, ridge",
                  "the response surface of mixture experiments (Scheffé 1958)", 4, convex=False),
        MixingLaw("gp", "Gaussian process, Matérn 5/2 on the square roots of the shares",
                  "Rasmussen & Williams 2006, algorithm 2.1", 7, convex=False),
        MixingLaw("additive+gp", "the additive law, and a Gaussian process on what it leaves",
                  "here; see docs/mixtures.md", 8, convex=False),
        MixingLaw("lightgbm", "gradient-boosted trees, 1000 at rate 0.01",
                  "RegMix: Liu et al. 2025, arXiv:2407.01492", 9, convex=False, extra="lightgbm"),
        MixingLaw("additive+lightgbm", "the additive law, and boosted trees on what it leaves",
                  "here; see docs/mixtures.md", 9, convex=False, extra="lightgbm"),
    )
}  # fmt: skip


def mixing_law(name: str) -> MixingLaw:
    """Return the mixing law of this name, or the law that a formula in the sources' names says.

    Raises InputError, with the nearest name, for one that is not there.

    >>> mixing_law("additive").convex
    True
    >>> mixing_law("E + 1 / (a * web**p + b * code**q)").convex
    False
    """
    if name in LAWS:
        return LAWS[name]
    if set(name) & set("*/("):
        return MixingLaw(name, name, "your own", 5, _own(name), convex=False, takes_scales=True)
    raise InputError(f"There is no mixing law '{name}'. {did_you_mean(name, LAWS)}")


def _own(formula: str) -> Build:
    def build(sources: Sequence[str], scales: Sequence[str]) -> list[Term]:
        return [Formula(formula, sources, scales)]

    return build


def mixing_laws() -> pd.DataFrame:
    """Return the catalogue of mixing laws as a table: name, formula, convex or not, source.

    >>> "additive" in set(mixing_laws()["law"])
    True
    """
    rows = [
        {"law": law.name, "formula": law.formula, "convex": law.convex,
         "scales": law.takes_scales, "source": law.source}
        for law in LAWS.values()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def term_sum(law: MixingLaw, sources: Sequence[str], scales: Sequence[str]) -> TermSum:
    """Return the law's terms for these sources and scales, ready for the solver."""
    assert law.build is not None, law.name
    return TermSum(law.build(sources, scales), sources)
