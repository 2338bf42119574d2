"""A comparison in words: the verdict, the advice, the summary, and its notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalekit.fitters.crossover import Crossover, probability_text
from scalekit.fitters.plan import SETTLED
from scalekit.notes import Note
from scalekit.results import with_notes
from scalekit.units import format_scale, percent

if TYPE_CHECKING:
    from scalekit.fitters.comparison import Comparison

FAR = 1.0  # decades beyond the data: a note says so
TOO_FAR = 3.0
LEAST_HELP = 0.02  # gain in probability below which runs are not advised
BELOW = 2.0  # times below the smallest run: a note says so
ENOUGH_DRAWS = 100  # below, the draws are too few to plan with


def verdict_sentence(duel: Comparison) -> str:
    """Return who wins at the last asked scale, with what probability and by how much."""
    table = duel.win_probability(duel.asked[-1:]).sort_values("win_probability", ascending=False)
    best = table.iloc[0]
    chance = best["win_probability"]
    verb = "wins" if chance >= SETTLED else "leads" if chance >= 0.5 + 0.5 / len(table) else ""
    where = f"at {format_scale(best['at'], duel.along)} {duel.along}"
    if not verb:
        return (
            f"{where} the runs do not tell the systems apart (best: {best['system']}, "
            f"probability {probability_text(chance)})"
        )
    text = f"{where} {best['system']} {verb} with probability {probability_text(chance)}"
    if len(table) > 2:
        return f"{text} of {len(table)}; choosing it costs {best['regret']:.2%} on average"
    gap = duel.difference(best["at"], table.iloc[1]["system"], best["system"]).iloc[0]
    return (
        f"{text} (loss {gap['difference']:+.2%} [{gap['ci_lower']:+.2%}, {gap['ci_upper']:+.2%}])"
    )


def efficiency_sentence(duel: Comparison) -> str:
    """Return how much less of the scale the best needs for the loss of the next; or nothing."""
    table = duel.win_probability(duel.asked[-1:]).sort_values("win_probability", ascending=False)
    best, second = table["system"].iloc[:2]
    row = duel.efficiency(duel.asked[-1:], second, best).iloc[0]
    if not 0 < row["ratio"] < np.inf:
        return ""
    what = "compute" if duel.along == "flops" else duel.along
    low, high = (_factor(row[end]) for end in ("ci_lower", "ci_upper"))
    return (
        f"For the loss that {second} has there {best} needs {_factor(row['ratio'])} {what} "
        f"({percent(duel.confidence_level)}: from {low} to {high})."
    )


def _factor(ratio: float) -> str:
    """Return how much of a scale is needed, where `ratio` is how many times less it is."""
    if ratio == 0:
        return "more than a million times as much"
    if ratio == np.inf:
        return "more than a million times less"
    return f"{ratio:.3g} times less" if ratio >= 1 else f"{1 / ratio:.3g} times as much"


def advise(duel: Comparison) -> str:
    """Return which few runs would do most to settle the verdict; empty where it is settled.

    Offers every system runs of one, two and four times the largest scale run so far, but none
    near the scale that is asked about, for that would be the run itself; for other candidates ask
    `next_runs`. Empty as well where the law has other scales than that.
    """
    from scalekit.fitters.planning import next_runs

    best = duel.win_probability(duel.asked[-1:])["win_probability"].max()
    one_scale = duel.along in next(iter(duel.fits.values())).law.scales
    if best >= SETTLED or not one_scale or duel.drifts.shape[1] < ENOUGH_DRAWS:
        return ""
    scales = duel.reach * np.array([1.0, 2.0, 4.0])
    scales = scales[(scales <= duel.asked[-1] / 2) | (scales == duel.reach)]
    offers = pd.DataFrame({duel.along: scales})
    plan = next_runs(duel, offers.assign(cost=offers[duel.along]), most=2).table
    if not len(plan):
        return ""
    runs = " and ".join(
        f"{row['system']} at {format_scale(row[duel.along], duel.along)}"
        for row in plan.to_dict("records")
    )
    chance = plan["expected_probability"].iloc[-1]
    if chance < best + LEAST_HELP:
        return f"two more runs of up to {format_scale(scales[-1], duel.along)} would hardly help"
    end = "would settle it" if chance >= SETTLED else "would go some way to settle it"
    now = probability_text(best)
    return f"more runs of {runs} {end} (expected probability {probability_text(chance)}, now {now})"


def answer(duel: Comparison, cross: Crossover) -> list[str]:
    """Return the whole answer: a crossing that was found, else the verdict, comes first."""
    parts = [cross.sentence(), verdict_sentence(duel)]
    if cross.status != "crosses":
        parts.reverse()
    return [part for part in (*parts, advise(duel)) if part]


def summarise(duel: Comparison) -> str:
    """Return the answer, the table, and how it was made."""
    table = duel.to_frame()
    shown = table.assign(at=[format_scale(x, duel.along) for x in table["at"]]).to_string(
        index=False, float_format="{:.4g}".format
    )
    laws = "; ".join(f"{law.name}: loss = {law.formula}" for law in duel.laws)
    lines = [
        *(f"{part[0].upper()}{part[1:]}." if part[:3] in ("at ", "mor", "two") else f"{part}."
          for part in answer(duel, duel.crossover())),
        *filter(None, [efficiency_sentence(duel)]),
        "",
        shown,
        "",
        *_laws_alone(duel),
        f"{'laws' if len(duel.laws) > 1 else 'law'} {laws}; along {duel.along}; "
        f"runs: {_counts(duel)}",
        f"intervals ({percent(duel.confidence_level)}): {duel.interval_method}; allowed change of "
        f"slope beyond the data {duel.drift:.3g}",
    ]  # fmt: skip
    return with_notes("\n".join(lines), duel.notes)


def _laws_alone(duel: Comparison) -> list[str]:
    if len(duel.laws) < 2:
        return []
    lines = []
    for row in duel.by_law().to_dict("records"):
        where = format_scale(row["median"], duel.along)
        place = f", {row['winner']} overtakes at {where}" if row["status"] == "crosses" else ""
        chance = probability_text(row["win_probability"])
        lines.append(f"{row['law']}: {row['best']} {chance}{place}")
    return [f"each law alone: {'; '.join(lines)}"]


def _counts(duel: Comparison) -> str:
    numbers = duel.runs["system"].astype(str).value_counts()
    return ", ".join(
        f"{name} {len(fit.loss)}"
        + (f" of {numbers[name]}" if numbers[name] != len(fit.loss) else "")
        for name, fit in duel.fits.items()
    )


def verdict_notes(duel: Comparison) -> Iterator[Note]:
    """Yield notes on the crossing, how far the last asked scale lies out, what the law missed."""
    yield from duel.crossover().notes
    decades = float(np.log10(duel.asked[-1] / min(c.span[1] for c in duel.curves.values())))
    below = max(c.span[0] for c in duel.curves.values()) / duel.asked[0]
    if below > BELOW:
        yield Note(
            "below_the_runs",
            "warning",
            f"The scale {format_scale(duel.asked[0], duel.along)} lies {np.log10(below):.1f} "
            f"decades below the smallest {duel.along} of a system's runs. Is it meant?",
        )
    if decades > FAR:
        yield Note(
            "far_extrapolation",
            "error" if decades > TOO_FAR else "warning",
            f"The last asked scale lies {decades:.1f} decades beyond the largest run of a system. "
            "Check the verdict with a run in between.",
        )
    if duel.drift > 0:
        yield Note(
            "drift",
            "info",
            f"Fitted to the smaller runs only, the law misses the larger ones by more than noise; "
            f"a change of slope of {duel.drift:.3g} (one standard deviation) beyond the data is "
            "allowed for in every interval and probability.",
        )
    if len({_best(duel.under(law.name)) for law in duel.laws}) > 1:
        yield Note(
            "hangs_on_law",
            "warning",
            f"The laws name different winners at {format_scale(duel.asked[-1], duel.along)} "
            f"{duel.along} (see 'each law alone'); the probability above weighs them equally. Runs "
            "at a larger scale would tell the laws apart.",
        )


def _best(duel: Comparison) -> str:
    table = duel.win_probability(duel.asked[-1:])
    return str(table.nlargest(1, "win_probability")["system"].iloc[0])
