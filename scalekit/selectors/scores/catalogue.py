"""The catalogue of per-example scores: what each is, which way it points, what it costs.

A score is one entry here; a score of a forward pass is one function in `outputs.py` besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean

Direction = Literal["hard", "easy", "similar", "important", "ambiguous", "none"]


@dataclass(frozen=True)
class Score:
    """One per-example score.

    `higher_is` says what a large value means. `stage` says what it is made from: "output" (one
    forward), "gradient" (forward, backward to activations, norms), "input" (gradient of a logit
    over checkpoints), "dynamics" (what the recorder wrote), "models" (several trained models) or
    "pairs" (a vector per example). `cost` is in units of one forward+backward.
    """

    name: str
    equation: str
    higher_is: Direction
    range: str
    stage: Literal["output", "gradient", "input", "dynamics", "models", "pairs"]
    cost: str
    when: str
    source: str
    variants: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the entry as a dictionary of texts."""
        return asdict(self)


_FORWARD = ".33"
_GHOST = ".6 to 1.7 with all above"
_ANY, _EARLY = "any checkpoint", "a few epochs in, eval mode, no augmentation, mean over seeds"
_DIET = "Paul et al. 2021, arXiv:2107.07075"
_TRACIN = "Pruthi et al. 2020, arXiv:2002.08484"
_COHERENCE = "Chatterjee & Zielinski 2022, arXiv:2203.10036"
_MAPS = "Swayamdipta et al. 2020, arXiv:2009.10795"
_FELDMAN = "Feldman & Zhang 2020, arXiv:2008.03703"

_ENTRIES = (
    Score("loss", "-log p_y", "hard", "[0, inf)", "output", _FORWARD, _ANY, "cross-entropy"),
    Score("el2n", "|p - onehot(y)|_2", "hard", "[0, sqrt(2)]", "output", _FORWARD, _EARLY, _DIET,
          "CCS takes the mean over training batches: el2n_mean"),
    Score("p_true", "p_y", "easy", "[0, 1]", "output", _FORWARD, _ANY, "probability of the label"),
    Score("entropy", "-sum_k p_k log p_k", "hard", "[0, log C]", "output", _FORWARD, _ANY,
          "Shannon entropy of the prediction"),
    Score("margin", "z_y - max_{k != y} z_k", "easy", "(-inf, inf)", "output", _FORWARD, _ANY,
          "Pleiss et al. 2020, arXiv:2001.10528", "on probabilities: margin_probability"),
    Score("margin_probability", "p_y - max_{k != y} p_k", "easy", "[-1, 1]", "output", _FORWARD,
          _ANY, "Zheng et al. 2023, arXiv:2210.15809"),
    Score("correct", "1[argmax z = y]", "easy", "[0, 1]", "output", _FORWARD, _ANY, "accuracy"),
    Score("grand_last", "|dL/dW_last, dL/db_last|_2", "hard", "[0, inf)", "output", _FORWARD,
          _EARLY, "DeepCore, arXiv:2204.08499", "not the GraNd of the paper: one layer only"),
    Score("grand", "|dL/dw|_2 over all weights", "hard", "[0, inf)", "gradient", _GHOST, _EARLY,
          _DIET, "one layer: grand_last; at initialisation it did not replicate (2303.14753)"),
    Score("tracin_self", "sum_t eta_t |dL/dw_t|^2", "hard", "[0, inf)", "gradient", _GHOST,
          "several checkpoints", _TRACIN),
    Score("tracin_to_set", "sum_t eta_t <g_t(z), mean g_t(reference)>", "important", "(-inf, inf)",
          "gradient", "grand + .4", "several checkpoints, with reference=", _TRACIN),
    Score("alignment", "cos(g_i, mean of the other gradients)", "easy", "[-1, 1]", "gradient",
          "grand + .4 + a pass", _ANY, _COHERENCE,
          "with reference=, the cosine with the reference's mean gradient"),
    Score("fisher_trace", "|d log p_k/dw|^2, k drawn from p", "hard", "[0, inf)", "gradient",
          _GHOST, _ANY, "Liu et al. 2023, arXiv:2210.14199",
          "its mean over examples estimates the trace; with the true label: grand^2"),
    Score("lpntk_self", "|d phi/dw|^2, phi = sum_k s_k z_k / sqrt(C)", "none", "[0, inf)",
          "gradient", _GHOST, "trained", "Guo et al. 2024, arXiv:2401.08808"),
    Score("vog", "mean over inputs of sqrt(mean_t (S_t - mean S)^2), S_t = dz_y/dx", "hard",
          "[0, inf)", "input", ".67 a checkpoint", "several checkpoints",
          "Agarwal et al. 2022, arXiv:2008.11600 (the published code)",
          "vog_paper: sum_t (.)^2 / sqrt(K); z-scored by class or data set with .normalise()"),
    Score("vog_paper", "mean over inputs of sum_t (S_t - mean S)^2 / sqrt(K)", "hard", "[0, inf)",
          "input", ".67 a checkpoint", "several checkpoints", "Agarwal et al. 2022, eq. 2-3"),
    Score("sketch", "1024 numbers whose products estimate <g_i, g_j>", "similar", "vector",
          "pairs", "grand + .1 to .3", _ANY, "factored Rademacher sketch, summed over layers"),
    Score("lpntk", "<d phi_i/dw, d phi_j/dw>", "similar", "pairs", "pairs", "lpntk_self + .3",
          "trained", "Guo et al. 2024, arXiv:2401.08808", "Gram of the column sketch_lpntk"),
    Score("tracin", "sum_t eta_t <g_t(z), g_t(z')>", "similar", "pairs", "pairs", "sketch",
          "several checkpoints", _TRACIN, "Gram of the column sketch"),
    Score("forgetting", "number of 1 -> 0 changes of correctness", "hard", "[0, T/2]", "dynamics",
          "0 (recorded)", "every presentation, or a dense cadence",
          "Toneva et al. 2019, arXiv:1812.05159", "never learned: inf (default), T or 1000"),
    Score("confidence", "mean_t p_y", "easy", "[0, 1]", "dynamics", "0 (recorded)", "training",
          _MAPS),
    Score("variability", "sqrt(mean_t (p_y - confidence)^2)", "ambiguous", "[0, .5]", "dynamics",
          "0 (recorded)", "training", _MAPS, "population standard deviation"),
    Score("correctness", "mean_t correct", "easy", "[0, 1]", "dynamics", "0 (recorded)",
          "training", _MAPS),
    Score("aum", "mean_t margin", "easy", "(-inf, inf)", "dynamics", "0 (recorded)", "training",
          "Pleiss et al. 2020, arXiv:2001.10528", "logits (here); CCS sums probability margins"),
    Score("el2n_mean", "mean_t EL2N", "hard", "[0, sqrt(2)]", "dynamics", "0 (recorded)",
          "the first 10 epochs", "Zheng et al. 2023, arXiv:2210.15809"),
    Score("pvi", "log2 f_x(y) - log2 f_null(y)", "easy", "(-inf, inf)", "models", "2 x .33",
          "two fine-tuned models", "Ethayarajh et al. 2022, arXiv:2110.08420",
          "negative: probably mislabelled"),
    Score("ddd", "share of models that are wrong", "hard", "[0, 1]", "models", "K x .33",
          "a trained ensemble", "Meding et al. 2022, arXiv:2110.05922"),
    Score("disagreement", "1 - largest share of one predicted class", "hard", "[0, 1)", "models",
          "K x .33", "a trained ensemble", "Chitta et al. 2021, arXiv:1905.12737"),
    Score("memorisation", "P[right | in the training set] - P[right | not]", "hard", "[-1, 1]",
          "models", "thousands of trainings", "models on random subsets", _FELDMAN),
    Score("influence_max", "max_j influence(i -> j)", "important", "[-1, 1]", "models",
          "thousands of trainings", "models on random subsets", _FELDMAN),
    Score("influence_sum", "sum_j |influence(i -> j)|", "important", "[0, inf)", "models",
          "thousands of trainings", "models on random subsets", _FELDMAN),
    Score("pada_weight", "tau EL2N_i / sum + (1 - tau) / N", "hard", "[0, 1]", "dynamics",
          "0 (recorded)", "every epoch", "Lu et al. 2023, arXiv:2302.14772",
          "corrected: loss weights 1 / (N p_i), which the code leaves out"),
    Score("opposing", "largest |change of loss| between steps", "ambiguous", "[0, inf)",
          "dynamics", "0 (recorded)", "a dense cadence",
          "Rosenfeld & Risteski 2024, arXiv:2311.04163"),
)  # fmt: skip

CATALOGUE = {entry.name: entry for entry in _ENTRIES}
VECTORS = {"sketch": "sketch", "tracin": "sketch", "lpntk": "sketch_lpntk"}


def scores(name: str | None = None) -> tuple[Score, ...]:
    """Return the catalogue of scores, or the one entry called `name`.

    >>> scores("el2n")[0].higher_is
    'hard'
    """
    return tuple(CATALOGUE.values()) if name is None else (find(name),)


def find(name: str) -> Score:
    """Return the entry called `name`; raises ColumnNotFoundError with the nearest name."""
    if name not in CATALOGUE:
        raise ColumnNotFoundError(f"There is no score '{name}'. {did_you_mean(name, CATALOGUE)}")
    return CATALOGUE[name]


def computed_in_a_pass(names: Iterable[str]) -> tuple[Score, ...]:
    """Return the entries of `names`, in order; raises InputError where one needs other input."""
    chosen = tuple(find(name) for name in dict.fromkeys(names))
    if not chosen:
        raise InputError("No score was asked for. `scalekit scores` lists them.")
    for entry in chosen:
        if entry.stage in ("dynamics", "models"):
            raise InputError(
                f"'{entry.name}' is not computed from one model: it is made from "
                + ("recorded training dynamics. Record them with Recorder, then reduce them with "
                   "read_dynamics(...).scores()." if entry.stage == "dynamics"
                   else "several trained models; see scalekit.selectors.scores.models.")
            )  # fmt: skip
    return chosen
