"""What a plan of runs may be asked to answer, as a number (or several) in every draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalekit.errors import InputError, did_you_mean
from scalekit.fitters.allocation import Cost, allocate
from scalekit.fitters.comparison import Comparison
from scalekit.fitters.fitted import Fit
from scalekit.notes import Note
from scalekit.units import format_scale

FIT_QUESTIONS = ("loss", "optimum", "parameters")
DUEL_QUESTIONS = ("verdict", "crossover")

At = float | Mapping[str, float] | None


@dataclass(frozen=True)
class Question:
    """A quantity of interest: its draws (draws, answers), the estimate, words and unit.

    Of a verdict, `probability` is the share of draws in which the leader is ahead.
    """

    draws: np.ndarray
    estimate: float
    words: str
    unit: str
    probability: float | None = None
    notes: tuple[Note, ...] = ()

    @property
    def size(self) -> int:
        """The number of answers (more than one for "parameters")."""
        return int(self.draws.shape[1])


def ask(result: Fit | Comparison, question: str | None, at: At) -> Question:
    """Return the question asked of `result`; raises InputError for one that it cannot answer."""
    if isinstance(result, Comparison):
        return _ask_comparison(result, question or "verdict", at)
    return _ask_fit(result, question or "loss", at)


def _ask_comparison(duel: Comparison, question: str, at: At) -> Question:
    if question not in DUEL_QUESTIONS:
        raise InputError(
            f"A comparison cannot be asked for '{question}'. "
            f"{did_you_mean(question, DUEL_QUESTIONS)}"
        )
    if isinstance(at, Mapping):
        at = at.get(duel.along)
    scale = float(duel.asked[-1]) if at is None else float(at)
    table = duel.win_probability(scale).sort_values("win_probability", ascending=False)
    first, second = table["system"].iloc[0], table["system"].iloc[1]
    if question == "verdict":
        place = np.array([scale])
        gap = duel.curves[second].draws(place) - duel.curves[first].draws(place)
        centre = duel.curves[second].estimate(place)[0] - duel.curves[first].estimate(place)[0]
        words = (
            f"the difference in log loss of {first} and {second} at "
            f"{format_scale(scale, duel.along)} {duel.along}"
        )
        chance = float(table["win_probability"].iloc[0])
        return Question(gap, float(centre), words, "", chance)
    return _ask_crossing(duel, first, second)


def _ask_crossing(duel: Comparison, first: str, second: str) -> Question:
    """Return the log scale of the crossing, linearised: the gap there over its slope.

    The draws of the crossing itself have no variance where some do not cross.
    """
    cross = duel.crossover(first, second)
    if not cross.estimates:
        raise InputError(
            f"The fits of {first} and {second} do not cross between "
            f"{format_scale(cross.within[0], duel.along)} and "
            f"{format_scale(cross.within[1], duel.along)}, so there "
            "is no crossing to plan for. Ask for the verdict: --question verdict (in Python "
            "question='verdict')."
        )
    place = cross.estimates[-1]
    near = place * np.exp([0.0, -0.01, 0.01])
    a, b = duel.curves[first], duel.curves[second]
    values = b.estimate(near) - a.estimate(near)
    slope = (values[2] - values[1]) / 0.02
    gap = b.draws(near[:1]) - a.draws(near[:1])
    words = f"the scale at which {cross.winner} overtakes {cross.loser}"
    return Question(np.log(place) - gap / slope, float(np.log(place)), words, "in log scale")


def _ask_fit(fit: Fit, question: str, at: At) -> Question:
    if question == "parameters":
        return Question(fit.draws, float("nan"), "all parameters (D-optimal)",
                        "(geometric mean over their axes)")  # fmt: skip
    if question in fit.law.names:
        k = fit.law.names.index(question)
        log = fit.law.parameters[k].log
        words = f"log {question}" if log else question
        return Question(fit.draws[:, [k]], float(fit.theta[k]), words, "")
    if question == "optimum":
        if at is None or (isinstance(at, Mapping) and "flops" not in at):
            raise InputError(
                "The question 'optimum' needs a budget: --at FLOPS (in Python at=FLOPS)."
            )
        flops = np.array([float(at["flops"] if isinstance(at, Mapping) else at)])
        both = np.concatenate([fit.theta[None], fit.draws])
        sizes = allocate(fit.law, both, flops, Cost()).log_params
        words = f"the best params for {format_scale(float(flops[0]), 'flops')} FLOPs"
        return Question(sizes[1:], float(sizes[0, 0]), words, "in log params")
    if question != "loss":
        options = (*FIT_QUESTIONS, *fit.law.names)
        raise InputError(
            f"A fit cannot be asked for '{question}'. {did_you_mean(question, options)}"
        )
    if at is None:
        at = {name: 10 * float(scale.max()) for name, scale in fit.scales.items()}
    if not isinstance(at, Mapping):
        if len(fit.law.scales) != 1:
            raise InputError(
                f"The law '{fit.law.name}' has the scales {', '.join(fit.law.scales)}; "
                "say the loss at which: --at params=70e9,tokens=1.4e12 (in Python "
                "at={'params': 70e9, 'tokens': 1.4e12})."
            )
        at = {fit.law.scales[0]: float(at)}
    missing = [name for name in fit.law.scales if name not in at]
    if missing:
        raise InputError(
            f"The question 'loss' needs a value of '{missing[0]}' too: --at "
            f"{','.join(f'{name}=VALUE' for name in fit.law.scales)} (in Python at=)."
        )
    rows = {name: np.array([float(at[name])]) for name in fit.law.scales}
    with np.errstate(all="ignore"):
        values = np.log(fit.law.model.value(np.concatenate([fit.theta[None], fit.draws]), rows))
    shown = ", ".join(f"{name} {format_scale(float(v[0]), name)}" for name, v in rows.items())
    return Question(values[1:], float(values[0, 0]), f"the log loss at {shown}", "")
