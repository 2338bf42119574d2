"""`agreement`: do scores, and seeds of a score, call the same examples hard?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance, Result, check_level, with_notes
from scalekit.seeds import RandomState, as_generator, seed_of
from scalekit.selectors.agreement.orienting import Oriented, oriented_scores
from scalekit.selectors.pruning.rules import top
from scalekit.selectors.scores.table import ScoreTable
from scalekit.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESAMPLES = 500
ELEMENTS = 4_000_000  # of resamples x examples held at once
SHOWN = 20  # of the examples on which scores disagree most
SEED = r", seed (\d+)$"  # how columns of several seeds are told apart
ENOUGH = 0.9  # overlap of selections that one would call the same


@dataclass(frozen=True, eq=False, repr=False)
class Agreement(Result):
    """Scores against each other, all turned so that large is hard.

    `pairs` has one row a pair: Spearman's rank correlation with its interval, the overlap
    (Jaccard) of their hardest share `top` with its interval, and the overlap by chance.
    `disagreements` are the examples whose ranks differ most. `seeds_needed` maps a score that was
    given for several seeds to the number of seeds whose mean selects the same with overlap .9.
    """

    kind: ClassVar[str] = "agreement"
    pairs: pd.DataFrame
    disagreements: pd.DataFrame
    seeds_needed: Mapping[str, float]
    top: float
    confidence_level: float
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def matrix(self, value: str = "spearman") -> pd.DataFrame:
        """Return `value` of all pairs as a symmetric table."""
        names = list(dict.fromkeys([*self.pairs["first"], *self.pairs["second"]]))
        table = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
        for row in self.pairs.to_dict("records"):
            table.loc[row["first"], row["second"]] = row[value]
            table.loc[row["second"], row["first"]] = row[value]
        return table

    def summary(self) -> str:
        """Return the pairs, and the seeds needed."""
        lines = [
            f"{self.provenance.n_rows:,} examples, the hardest {percent(self.top)} of each score: "
            f"{self._extremes()}; by chance {chance_overlap(self.top):.3f}",
            "",
            self._shown().to_string(index=False, float_format="{:.3f}".format),
        ]
        for name, count in self.seeds_needed.items():
            needed = f"about {count:.0f} seeds" if np.isfinite(count) else "more than 256 seeds"
            lines.append(f"{name}: {needed} for selections that overlap by {ENOUGH}")
        return with_notes("\n".join(lines), self.notes)

    def _extremes(self) -> str:
        """Return which two scores choose the most alike, and which the least."""
        told = [
            f"{row['first']} and {row['second']} overlap by {row['overlap']:.3f}"
            for row in self._shown().sort_values("overlap", ascending=False).to_dict("records")
        ]
        return told[0] if len(told) == 1 else f"{told[0]} (most), {told[-1]} (least)"

    def _shown(self) -> pd.DataFrame:
        """Return the pairs; of several seeds their mean over seeds, by scores."""
        if not self.seeds_needed:
            return self.pairs
        first, second = (
            self.pairs[c].str.replace(SEED, "", regex=True) for c in ("first", "second")
        )
        swap = first > second
        seeds = (
            self.pairs["first"].str.extract(SEED)[0] == self.pairs["second"].str.extract(SEED)[0]
        )
        named = self.pairs.assign(
            first=first.where(~swap, second), second=second.where(~swap, first),
            of=np.where(seeds, "one seed", "two seeds"),
        )  # fmt: skip
        columns = ["spearman", "overlap", "chance"]
        return named.groupby(["first", "second", "of"], sort=False)[columns].mean().reset_index()

    def to_frame(self) -> pd.DataFrame:
        """Return one row a pair of scores."""
        return self.pairs.copy()

    def payload(self) -> dict[str, Any]:
        """Return pairs, disagreements and seeds needed."""
        return {
            "params": {}, "top": self.top, "confidence_level": self.confidence_level,
            "pairs": self.pairs.to_dict("records"), "seeds_needed": dict(self.seeds_needed),
            "disagreements": self.disagreements.to_dict("records"),
        }  # fmt: skip

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Agreement:
        """Return what `save` wrote."""
        return cls(
            pd.DataFrame(values["pairs"]), pd.DataFrame(values["disagreements"]),
            values["seeds_needed"], values["top"], values["confidence_level"],
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the rank correlations as a heat map."""
        from scalekit.axes import new_axes

        ax, table = new_axes(ax), self.matrix()
        ax.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1)
        ax.set_xticks(range(len(table)), table.columns, rotation=45, ha="right")
        ax.set_yticks(range(len(table)), table.index)
        for k, row in enumerate(table.to_numpy()):
            for m, value in enumerate(row):
                ax.text(m, k, f"{value:.2f}", ha="center", va="center", fontsize="small",
                        color="white" if abs(value) > 0.6 else "black")  # fmt: skip
        ax.set_title("Rank correlation of hardness", fontsize="medium")
        return ax


def chance_overlap(share: float) -> float:
    """Return the overlap (Jaccard) of two random selections of this share, of many examples."""
    return share / (2 - share)


def agreement(
    scores: ScoreTable | pd.DataFrame | str | Path | Sequence[Any],
    top_share: float = 0.1,
    *,
    higher_is: str | Mapping[str, str] | None = None,
    confidence_level: float = 0.95,
    rng: RandomState = 0,
) -> Agreement:
    """Compare all scores of a table (or of several seeds): do they call the same examples hard?

    `scores` as in `prune`; of several tables every score enters as "name, seed k". `higher_is`
    ("hard" or "easy", by name or for all) gives the direction of scores that the catalogue does not
    know; those without one are left out and told. Intervals: percentiles over resampled examples.
    Ties at the cut are drawn.

    Raises InputError for fewer than two scores with a direction, or a share that holds no example.

    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"id": range(100), "el2n": rng.random(100), "loss": rng.random(100)})
    >>> abs(agreement(table).pairs["spearman"][0]) < 0.3
    np.True_
    """
    if not 0 < top_share < 1:
        percent = f" For {top_share:g}% give {top_share / 100:g}." if 1 < top_share < 100 else ""
        raise InputError(
            f"top_share (--top) is a share between 0 and 1, 0.1 for the hardest tenth; got "
            f"{top_share:g}.{percent}"
        )
    check_level(confidence_level)
    found = oriented_scores(scores, higher_is or {})
    names = list(found.values)
    if len(names) < 2:
        raise InputError(_too_few(found, names))
    values = np.stack(list(found.values.values()))
    count = round(top_share * values.shape[1])
    if not 0 < count < values.shape[1]:
        raise InputError(
            f"top_share (--top) {top_share:g} of {values.shape[1]} examples is {count}: the "
            "hardest to compare must be one example or more, and not all."
        )
    generator = as_generator(rng)
    ranks = pd.DataFrame(values).rank(axis=1).to_numpy()
    masks = np.stack([top(row, count, generator) for row in values])
    ends = [(1 - confidence_level) / 2, (1 + confidence_level) / 2]
    rows = []
    for k, m in combinations(range(len(names)), 2):
        correlations, overlaps = _resampled(ranks[[k, m]], masks[[k, m]], generator)
        spread, (low, high) = np.quantile(correlations, ends), np.quantile(overlaps, ends)
        both, either = masks[k] & masks[m], masks[k] | masks[m]
        rows.append({
            "first": names[k], "second": names[m],
            "spearman": float(np.corrcoef(ranks[k], ranks[m])[0, 1]),
            "ci_lower": spread[0], "ci_upper": spread[1], "overlap": both.sum() / either.sum(),
            "overlap_lower": low, "overlap_upper": high, "chance": chance_overlap(top_share),
        })  # fmt: skip
    span = np.ptp(ranks, axis=0) / values.shape[1]
    most = np.argsort(-span, kind="stable")[:SHOWN]
    disagreements = pd.DataFrame({"id": found.ids[most], "rank_range": span[most]}).assign(
        **{name: ranks[k, most] / values.shape[1] for k, name in enumerate(names)}
    )
    return Agreement(
        pd.DataFrame(rows), disagreements, _seeds_needed(found.seeds, count, generator), top_share,
        confidence_level, found.notes,
        Provenance(source=found.source, n_rows=values.shape[1], seed=seed_of(rng)),
    )  # fmt: skip


def _too_few(found: Oriented, names: Sequence[str]) -> str:
    """Return what is wrong where there are not two scores with a direction."""
    left = [note.message for note in found.notes if note.code in ("no_direction", "constant")]
    return " ".join([
        f"{found.source}: agreement needs two scores with a direction, or one from two seeds; it "
        f"found {', '.join(names) or 'none'}.",
        *(left or ["Give a second score, or the table of a second seed."]),
    ])  # fmt: skip


def _resampled(
    ranks: np.ndarray, masks: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return correlation and overlap of two scores (2, n) in every resample of the examples."""
    rows = ranks.shape[1]
    both, either = masks[0] & masks[1], masks[0] | masks[1]
    step, correlations, overlaps = max(1, ELEMENTS // rows), [], []
    for start in range(0, RESAMPLES, step):
        picks = rng.integers(rows, size=(min(step, RESAMPLES - start), rows))
        a, b = ranks[0][picks], ranks[1][picks]
        a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
        size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
        correlations.append((a * b).sum(axis=1) / np.maximum(size, 1e-300))
        overlaps.append(both[picks].sum(axis=1) / np.maximum(either[picks].sum(axis=1), 1))
    return np.concatenate(correlations), np.concatenate(overlaps)


def _seeds_needed(
    seeds: Mapping[str, np.ndarray], count: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return how many seeds must be averaged for two such means to select alike.

    The overlap of means of k seeds is simulated from the mean over the seeds given plus the noise
    between them, for k = 1, 2, 4, ... up to 256. The mean of few seeds is itself noisy, so that the
    number is a rough one.
    """
    found = {}
    for name, values in seeds.items():
        if len(values) < 2:  # the same seed twice: nothing is known of the noise
            continue
        centre, noise = values.mean(axis=0), values.std(axis=0, ddof=1)
        for k in 2 ** np.arange(9):
            pair = centre + noise / np.sqrt(k) * rng.standard_normal((2, len(centre)))
            one, other = (top(row, count, rng) for row in pair)
            found[name] = float(k)
            if (one & other).sum() / (one | other).sum() >= ENOUGH:
                break
        else:
            found[name] = float("inf")
    return found
