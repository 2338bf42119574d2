"""Published laws with all the digits there are, and where each comes from.

Beware of rounding. Hoffmann et al. print alpha = 0.34 and beta = 0.28; with these the optimum at
5.76e23 FLOPs has 93 tokens a parameter, with the digits behind them 59 (and with the corrected
fit of Besiroglu et al. 18). Entries whose exponents are printed with two digits carry a note.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.fitters.law import Law
from scalekit.fitters.laws import CATALOGUE
from scalekit.fitters.prediction import Prediction, asked_scales
from scalekit.notes import Note
from scalekit.results import Provenance


@dataclass(frozen=True)
class Published:
    """A law with the constants of a paper: `published("hoffmann2022").predict(params=..., ...)`.

    `response` says what the law predicts where it is not a loss in nats per token.
    """

    name: str
    law: Law
    values: Mapping[str, float]
    source: str
    response: str = "loss (nats/token)"
    rounded: bool = False

    def predict(
        self, at: pd.DataFrame | Mapping[str, Any] | None = None, **scales: Any
    ) -> Prediction:
        """Return what the law says at the scales; published constants come without intervals.

        >>> hoffmann = published("hoffmann2022_rounded")
        >>> round(float(hoffmann.predict(params=70e9, tokens=1.4e12).table["predicted"][0]), 4)
        1.9366
        """
        table = asked_scales(self, at, scales)
        given = {name: table[name].to_numpy() for name in self.law.scales}
        nothing = np.full(len(table), np.nan)
        table = table.assign(
            predicted=self.law.predict(self.values, **given), ci_lower=nothing, ci_upper=nothing,
            obs_lower=nothing, obs_upper=nothing, domain="unknown", extrapolation=0.0,
        )  # fmt: skip
        return Prediction(
            table,
            f"published:{self.name}",
            0.95,
            "none (published constants)",
            tuple(self._notes()),
            Provenance(source=self.source),
        )

    def _notes(self) -> list[Note]:
        notes = [
            Note("published_constants", "info", f"Constants of {self.source}; they hold for its "
                 "data, tokenizer and recipe, and come without an interval."),
        ]  # fmt: skip
        if self.rounded:
            notes.append(
                Note("rounded_constants", "warning", "These constants are printed with few digits; "
                     "compute-optimal sizes from rounded exponents are off by factors. Use them "
                     "for losses only.")
            )  # fmt: skip
        return notes


def _power_of(unit: float, exponent: float, irreducible: float | None = None) -> dict[str, float]:
    """Return the parameters of (x / unit)**-exponent (+ irreducible) as our laws write it."""
    values = {"A": unit**exponent, "alpha": exponent}
    return values if irreducible is None else {"E": irreducible, **values}


def _entries() -> list[Published]:
    chinchilla, kaplan, gadre = (CATALOGUE[n] for n in ("chinchilla", "kaplan", "gadre"))
    power, constant = CATALOGUE["power"], CATALOGUE["power_constant"]
    found = [
        Published(
            "hoffmann2022", chinchilla,
            {"E": math.exp(0.5267228), "A": math.exp(6.0073404), "alpha": 0.33917084,
             "B": math.exp(6.0179186), "beta": 0.2849083},
            "Hoffmann et al. 2022, arXiv:2203.15556 eq. 10; digits from the arXiv source as read "
            "in the notebook of Besiroglu et al."),
        Published(
            "hoffmann2022_rounded", chinchilla,
            {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28},
            "Hoffmann et al. 2022, arXiv:2203.15556 eq. 10, as printed", rounded=True),
        Published(
            "besiroglu2024", chinchilla,
            {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658},
            "Besiroglu et al. 2024, arXiv:2404.10102 eq. 3"),
        Published(
            "kaplan2020", kaplan, {"Nc": 8.8e13, "alpha_N": 0.076, "alpha_D": 0.095, "Dc": 5.4e13},
            "Kaplan et al. 2020, arXiv:2001.08361 eq. 1.5 with the constants of eqs. 1.1 and 1.2",
            rounded=True),
        Published(
            "kaplan2020_params", power.along("params"), _power_of(8.8e13, 0.076),
            "Kaplan et al. 2020, arXiv:2001.08361 eq. 1.1", rounded=True),
        Published(
            "kaplan2020_tokens", power.along("tokens"), _power_of(5.4e13, 0.095),
            "Kaplan et al. 2020, arXiv:2001.08361 eq. 1.2", rounded=True),
        Published(
            "muennighoff2023", CATALOGUE["repeated_data"],
            {"E": math.exp(0.6254804), "A": math.exp(6.255414), "alpha": 0.3526596,
             "B": math.exp(7.3049974), "beta": 0.3526596, "R_N": 5.309743, "R_D": 15.387756},
            "Muennighoff et al. 2023, arXiv:2305.16264 and its repository; (R_D, R_N) is a local "
            "minimum of the paper's own objective"),
        Published(
            "deepseek2024_params", Law("allocation", "k * flops**a"), {"k": 0.1715, "a": 0.5243},
            "Bi et al. 2024 (DeepSeek LLM), arXiv:2401.02954 eq. 4",
            "optimal model scale (non-embedding FLOPs per token)"),
        Published(
            "deepseek2024_tokens", Law("allocation", "k * flops**a"), {"k": 5.8316, "a": 0.4757},
            "Bi et al. 2024 (DeepSeek LLM), arXiv:2401.02954 eq. 4", "optimal tokens"),
        Published(
            "porian2024_params", Law("allocation", "k * flops**a"), {"k": 0.119, "a": 0.497},
            "Porian et al. 2024, arXiv:2406.19146, tuned RefinedWeb fit", "optimal parameters",
            rounded=True),
        Published(
            "porian2024_tokens", Law("allocation", "k * flops**a"), {"k": 1.40, "a": 0.503},
            "Porian et al. 2024, arXiv:2406.19146, tuned RefinedWeb fit", "optimal tokens",
            rounded=True),
    ]  # fmt: skip
    for data, lambda_n, lambda_m, eta, floor in (
        ("rpj", 166.211, 366.687, 0.272851, 1.836648),
        ("c4", 113.693, 189.516, 0.242472, 1.508261),
        ("rw", 125.096, 246.207, 0.254395, 1.734462),
    ):
        values = {"E": floor, "lambda_N": lambda_n, "eta": eta, "lambda_M": lambda_m}
        source = (
            f"Gadre et al. 2024, arXiv:2403.08540, notebook: C4 loss of models trained on {data}"
        )
        found.append(Published(f"gadre2024_{data}", gadre, values, source))
    for task, a, b, alpha, beta, floor in (
        ("mmlu", 38.07, 100.09, 0.2262, 0.2361, 0.4541),
        ("hellaswag", 11.231, 60.369, 0.1955, 0.2565, 0.5019),
        ("arc_challenge", 7.03e5, 38.45, 0.7877, 0.1970, 0.6546),
        ("piqa", 405.66, 10.159, 0.3978, 0.1533, 0.7217),
        ("csqa", 56.855, 10.907, 0.2350, 0.1111, 0.0),
    ):
        values = {"E": floor, "A": a, "alpha": alpha, "B": b, "beta": beta}
        source = f"Bhagia et al. 2024 (OLMo ladder), arXiv:2412.04403, step 1 of {task}"
        found.append(Published(f"olmo2024_{task}", chinchilla, values, source, "bits per byte"))
    for domain, by_params, by_compute in _HENIGHAN:
        for scale, entry in (("params", by_params), ("pf_days", by_compute)):
            if entry is None:
                continue
            level, unit, exponent = entry
            law = (power if level is None else constant).along(scale)
            source = "Henighan et al. 2020, arXiv:2010.14701 table 1"
            found.append(
                Published(
                    f"henighan2020_{domain}_{scale}", law, _power_of(unit, exponent, level), source,
                    rounded=True,
                )
            )  # fmt: skip
    return found


# Henighan et al. 2020, table 1: domain; by parameters, by compute in PF-days, each (floor, x0, a)
_Entry = tuple[float | None, float, float]
_HENIGHAN: tuple[tuple[str, _Entry, _Entry | None], ...] = (
    ("language", (None, 1.47e14, 0.070), (None, 3.47e8, 0.048)),
    ("image8", (3.12, 8.0e1, 0.24), (3.13, 1.8e-8, 0.19)),
    ("image16", (2.64, 2.8e2, 0.22), (2.64, 1.6e-8, 0.16)),
    ("image32", (2.20, 6.3e1, 0.13), (2.21, 3.6e-9, 0.10)),
    ("image_vq16", (3.99, 2.7e4, 0.13), (4.09, 6.1e-7, 0.11)),
    ("image_vq32", (3.07, 1.9e4, 0.14), (3.17, 2.6e-6, 0.12)),
    ("text_to_image_text", (None, 5.6e8, 0.037), None),
    ("text_to_image_image", (2.0, 5.1e3, 0.16), (1.93, 1.5e-6, 0.15)),
    ("image_to_text_text", (None, 7.0e8, 0.039), None),
    ("image_to_text_image", (2.0, 5.5e3, 0.15), (1.97, 1.5e-6, 0.16)),
    ("video_vq", (1.01, 3.7e4, 0.24), (0.95, 2.2e-5, 0.14)),
    ("math", (0.28, 1.1e4, 0.16), (0.14, 1.4e-5, 0.17)),
)

PUBLISHED: dict[str, Published] = {entry.name: entry for entry in _entries()}


def published(name: str) -> Published:
    """Return a published law by name; raises InputError, with the nearest name, for no such law.

    >>> published("besiroglu2024").values["alpha"]
    0.3478
    """
    key = name.removeprefix("published:")
    if key not in PUBLISHED:
        raise InputError(
            f"There is no published law '{key}'. {did_you_mean(key, PUBLISHED)} "
            "`scalekit laws --published` lists all."
        )
    return PUBLISHED[key]
