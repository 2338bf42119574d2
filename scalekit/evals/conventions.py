"""What the field takes for granted about benchmarks: directions, chance levels, seed noise.

Nothing here is guessed from the data: a metric or a benchmark that is not listed is said so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LOWER_IS_BETTER = {
    "bits_per_byte", "bpb", "brier", "brier_score", "ce_loss", "cer", "cross_entropy", "error",
    "error_rate", "likelihood_difference", "loss", "nll", "perplexity", "ppl", "val_loss", "wer",
    "byte_perplexity", "word_perplexity", "pct_stereotype", "mae", "mse", "rmse",
}  # fmt: skip
PROPORTIONS = {
    "acc", "acc_norm", "acc_bytes", "acc_mutual_info", "accuracy", "balanced_accuracy", "bleu_acc",
    "correct", "em", "exact", "exact_match", "f1", "includes", "len_norm", "match", "mc1", "mc2",
    "p_correct", "pass1", "pass_at_1", "pass@1", "pass@10", "pattern", "recall", "soft", "top1",
}  # fmt: skip
HIGHER_IS_BETTER = PROPORTIONS | {"bleu", "rouge", "rougel", "rouge1", "return", "reward", "score",
                                  "log_soft", "soft_log", "log_p_correct", "margin"}  # fmt: skip

CHANCE = {  # a guess among the options, for the multiple-choice forms of these benchmarks
    "agieval": 0.20, "arcchallenge": 0.25, "arcc": 0.25, "arceasy": 0.25, "arce": 0.25,
    "boolq": 0.50, "copa": 0.50, "csqa": 0.20, "commonsenseqa": 0.20, "hellaswag": 0.25,
    "mmlu": 0.25, "mmlucloze": 0.25, "openbookqa": 0.25, "obqa": 0.25, "piqa": 0.50,
    "siqa": 1 / 3, "socialiqa": 1 / 3, "winogrande": 0.50, "bbh": 0.0, "gsm8k": 0.0,
    "humaneval": 0.0, "math": 0.0, "mbpp": 0.0, "naturalquestions": 0.0, "nq": 0.0,
    "triviaqa": 0.0, "lambada": 0.0, "lambadaopenai": 0.0, "sciq": 0.25, "logiqa": 0.25,
    "wsc": 0.50, "rte": 0.50, "medmcqa": 0.25, "gpqa": 0.25, "truthfulqamc1": 0.25,
}  # fmt: skip


@dataclass(frozen=True)
class SeedNoise:
    """One row of a published table: all in fractions of 1."""

    benchmark: str
    n_items: int
    chance: float
    mean: float
    seed_sd: float
    source: str = "Madaan et al. 2024, arXiv:2406.10229, Table 1: 10 seeds of a 7B model"


# Seed SD over 10 seeds of a Llama-2-7B recipe, averaged over 21 checkpoints.
PUBLISHED_SEED_NOISE = {
    row[0].lower().replace("-", ""): SeedNoise(row[0], row[1], row[2] / 100, row[3] / 100,
                                               row[4] / 100)
    for row in (
        ("AGIEval", 2546, 20, 23.44, 0.77),
        ("ARC-C", 1165, 25, 39.71, 0.80),
        ("BBH", 6511, 0, 29.10, 0.87),
        ("COPA", 100, 50, 78.80, 2.15),
        ("GSM8k", 1319, 0, 4.10, 0.41),
        ("HellaSwag", 10042, 25, 70.08, 0.21),
        ("HumanEval", 164, 0, 11.89, 1.11),
        ("MATH", 5000, 0, 1.52, 0.23),
        ("MMLU", 14042, 25, 25.86, 0.57),
        ("MMLU-Cloze", 14042, 25, 37.47, 0.22),
        ("NQ", 3610, 0, 16.43, 0.60),
        ("PIQA", 1838, 50, 76.93, 0.41),
        ("SIQA", 1954, 33, 46.69, 0.55),
        ("TriviaQA", 11313, 0, 42.69, 0.45),
    )
}  # fmt: skip
SAME_BENCHMARK = {
    "arcchallenge": "arcc", "socialiqa": "siqa", "naturalquestions": "nq", "nqopen": "nq",
}  # fmt: skip


def plain_name(name: str) -> str:
    """Return a benchmark's name without case, separators and prompt suffixes (`_5shot`, `:mc`)."""
    lowered = re.sub(r"(_rc|_mc|_mcf|_cf)?[_-]?\d+[_-]?shot.*$|[:@].*$", "", name.lower())
    return re.sub(r"[^a-z0-9]", "", re.sub(r"_(val|test|validation|rc|mc|openai)$", "", lowered))


def published_seed_noise(benchmark: str, metric: str = "acc") -> SeedNoise | None:
    """Return the published seed noise of accuracy on a benchmark of this name, or None.

    >>> published_seed_noise("arc_challenge").seed_sd
    0.008
    """
    if not is_accuracy(metric):
        return None
    name = plain_name(benchmark)
    return PUBLISHED_SEED_NOISE.get(SAME_BENCHMARK.get(name, name))


def known_chance(benchmark: str) -> float | None:
    """Return the score of a guess on a benchmark of this name, or None where it is not known."""
    name = plain_name(benchmark)
    return CHANCE.get(name, 0.25 if name.startswith("mmlu") else None)


def known_direction(metric: str) -> int | None:
    """Return +1 where higher is better, -1 where lower is, None for a metric not known here."""
    name = metric.lower().split(",")[0]
    tail = name.rsplit("_", 1)[-1]
    for candidate in (name, tail):
        if candidate in LOWER_IS_BETTER:
            return -1
        if candidate in HIGHER_IS_BETTER:
            return 1
    return None


def is_accuracy(metric: str) -> bool:
    """Return whether a metric of this name counts right answers (published seed SDs are of these).

    >>> is_accuracy("acc_norm"), is_accuracy("p_correct")
    (True, False)
    """
    return is_proportion(metric) and metric.lower() not in ("p_correct", "soft", "recall", "f1")


def is_proportion(metric: str) -> bool:
    """Return whether a metric of this name is a share of items, between 0 and 1."""
    return metric.lower().split(",")[0] in PROPORTIONS


def framing(benchmark: str) -> tuple[str, str]:
    """Return the task of a benchmark and how it is framed: "cloze", "choice", or "" if not said.

    >>> framing("arc_easy_mc"), framing("MMLU-Cloze")
    (('arc_easy', 'choice'), ('MMLU', 'cloze'))
    """
    for pattern, form in ((r"[-_:.](mcf?|multiple_?choice)(?=$|[-_:.])", "choice"),
                          (r"[-_:.](rc|cf|cloze)(?=$|[-_:.])", "cloze")):  # fmt: skip
        task, found = re.subn(pattern, "", benchmark, flags=re.IGNORECASE)
        if found:
            return task, form
    return benchmark, ""
