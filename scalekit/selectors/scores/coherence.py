"""Gradient coherence: do the examples of a data set pull the weights the same way?"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Interval, Provenance, Result, with_notes
from scalekit.selectors.scores.batch import Batch
from scalekit.selectors.scores.checkpoints import unchanged
from scalekit.selectors.scores.engine import Engine
from scalekit.selectors.scores.gradient_sum import GradientSum
from scalekit.selectors.scores.passes import GradientPass
from scalekit.selectors.scores.plan import compile_plan
from scalekit.selectors.scores.shards import ShardScorer
from scalekit.selectors.scores.sources import as_source

if TYPE_CHECKING:
    from torch.nn import Module

WHOLE = "all"


@dataclass(frozen=True, repr=False)
class Coherence(Result):
    """Coherence of N gradients, for the whole model and each parameter.

    alpha = |mean g|^2 / mean |g|^2 in [0, 1]; m-coherence = N alpha (1: orthogonal, N: equal);
    `unbiased` = (N |mean g|^2 - mean |g|^2) / ((N - 1) mean |g|^2), which leaves out the products
    of an example with itself. Source: Chatterjee & Zielinski 2022, arXiv:2203.10036.
    """

    kind: ClassVar[str] = "coherence"
    frame: pd.DataFrame
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def alpha(self) -> float:
        """alpha of the whole model."""
        return float(self.frame["alpha"].iloc[0])

    @property
    def m_coherence(self) -> float:
        """N alpha of the whole model."""
        return float(self.frame["m_coherence"].iloc[0])

    @property
    def unbiased(self) -> float:
        """Mean product of two different gradients over the mean square, of the whole model."""
        return float(self.frame["unbiased"].iloc[0])

    @property
    def interval(self) -> Interval:
        """Interval of `unbiased` for the whole model, by a jackknife over blocks of examples."""
        row = self.frame.iloc[0]
        return Interval(row["ci_lower"], row["ci_upper"], 0.95, "block jackknife")

    def summary(self) -> str:
        """Return alpha, m-coherence and the unbiased form as text."""
        n = self.provenance.n_rows
        text = (
            f"coherence of {n:,} gradients: alpha {self.alpha:.4g}, m-coherence "
            f"{self.m_coherence:.4g} (1: orthogonal, {n:,}: equal)\n"
            f"without self-products: {self.unbiased:.4g} {self.interval}, "
            f"{self.interval.method}"
        )
        return with_notes(text, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for the whole model and one a parameter."""
        return self.frame.copy()

    def payload(self) -> dict[str, Any]:
        """Return the table."""
        return {"coherence": self.frame.to_dict("records")}


def gradient_coherence(
    data: Any, *, model: Module, labels: Any = None, batch_size: int = 64, blocks: int = 10,
    device: str = "cpu", dtype: str = "float32", skip_bad: bool = False, **reading: Any,
) -> Coherence:  # fmt: skip
    """Return the coherence of the loss gradients of `data`, of the model and of each parameter.

    One ordinary gradient and one pass of ghost norms: no gradient of a single example is formed.
    `blocks` gradients are kept for the interval. Data as for `score`, with `reading` its options.
    Raises InputError where there are fewer than two examples, or one cannot be scored (with its
    id; `skip_bad` leaves it out, and a note says so).
    """
    source = as_source(data, labels, **reading)
    if source.n is None or source.n < 2:
        raise InputError("Coherence compares gradients: give at least two examples, no stream.")
    n, blocks = source.n, max(2, min(blocks, source.n))
    sums, squares, sizes = [], [], []
    with unchanged(model, weights=False):
        engine = Engine(model, compile_plan(["grand"]), device=device, dtype=dtype)
        scorer = ShardScorer(engine, source, batch_size, skip_bad)
        one_pass = GradientPass(model, dtype=dtype)
        edges = np.linspace(0, n, blocks + 1).astype(int)
        for first, last in pairwise(edges):
            block = Block(engine, one_pass)
            scorer.visit(source, block.add, block.probe, int(first), int(last))
            if block.total.count == 0:  # all of it was left out
                continue
            sums.append(
                {name: value * block.total.count for name, value in block.total.mean().items()}
            )
            squares.append(block.norms)
            sizes.append(block.total.count)
    names = [name for name in sums[0] if any(name in one for one in squares)]
    rows = coherence_rows(names, sums, squares, np.array(sizes))
    bad = dict(scorer.left_out_of_reference.values())
    if bad:
        some = ", ".join(f"{name} ({reason[:60]})" for name, reason in list(bad.items())[:3])
        message = f"{len(bad)} examples could not be scored and are left out: {some}."
        scorer.notes.append(Note("skipped", "warning", message))
    provenance = Provenance(
        source.name, source.fingerprint(), sum(sizes),
        rows_left_out={"could not be scored": len(bad)} if bad else {},
    )  # fmt: skip
    return Coherence(frame=pd.DataFrame(rows), notes=tuple(scorer.notes), provenance=provenance)


class Block:
    """The sums of the gradients, and of their squared norms, of some examples."""

    def __init__(self, engine: Engine, one_pass: GradientPass) -> None:
        self._engine, self._pass = engine, one_pass
        self.total = GradientSum(engine.model, engine.dtype)
        self.norms: dict[str, float] = {}

    def add(self, batch: Batch) -> None:
        """Add the examples of `batch`."""
        gradients = self.probe(batch)
        inputs, targets = self._engine.ready(batch)
        draws = targets.new_zeros((len(batch), 1)).float()
        found = self._pass.run(inputs, targets, draws)["loss"].norms2
        self.total.add(gradients, len(batch))
        for name, value in found.items():
            self.norms[name] = self.norms.get(name, 0.0) + float(value.double().sum())

    def probe(self, batch: Batch) -> dict[str, Any]:
        """Return the gradient of `batch`; raises InputError where it cannot be counted."""
        return self._engine.gradients(self.total, batch)


def coherence_rows(
    names: list[str], sums: list[dict[str, Any]], squares: list[dict[str, float]],
    sizes: np.ndarray,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the table's rows from sums of gradients and of squared norms of blocks."""
    grams = {name: gram([one[name] for one in sums]) for name in names}
    norms = {name: np.array([one.get(name, 0.0) for one in squares]) for name in names}
    grams = {WHOLE: np.sum(list(grams.values()), axis=0)} | grams
    norms = {WHOLE: np.sum(list(norms.values()), axis=0)} | norms
    total = norms[WHOLE].sum()
    rows = []
    for name, products in grams.items():
        n, own = int(sizes.sum()), norms[name].sum()
        alpha = products.sum() / (n * own) if own > 0 else np.nan
        value = unbiased(products, norms[name], sizes)
        kept = np.array([unbiased(*without(k, products, norms[name], sizes))
                         for k in range(len(sizes))])  # fmt: skip
        spread = np.sqrt((len(sizes) - 1) / len(sizes) * ((kept - kept.mean()) ** 2).sum())
        rows.append({"parameter": name, "alpha": alpha, "m_coherence": n * alpha,
                     "unbiased": value, "ci_lower": value - 1.96 * spread,
                     "ci_upper": value + 1.96 * spread,
                     "share_of_norm2": own / total if total > 0 else np.nan})  # fmt: skip
    return rows


def gram(vectors: list[Any]) -> np.ndarray:
    """Return the products of tensors of one shape."""
    import torch

    flat = torch.stack([vector.double().flatten() for vector in vectors])
    found: np.ndarray = (flat @ flat.T).cpu().numpy()
    return found


def without(
    k: int, products: np.ndarray, norms: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sums of all blocks but block k."""
    keep = np.arange(len(sizes)) != k
    return products[np.ix_(keep, keep)], norms[keep], sizes[keep]


def unbiased(products: np.ndarray, norms: np.ndarray, sizes: np.ndarray) -> float:
    """Return the mean product of two different gradients over the mean squared norm."""
    n, own = sizes.sum(), norms.sum()
    if n < 2 or own <= 0:
        return float("nan")
    return float((products.sum() - own) / (n - 1) / own)
