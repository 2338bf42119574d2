"""Numbers of published scaling laws that a right implementation must give: data, no scalekit.

Only numbers that were read in a paper or its code, or recomputed from them, stand here. `rel` is
how far the printed digits of the constants carry.
"""

from __future__ import annotations

from dataclasses import dataclass

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
BESIROGLU = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
HOFFMANN_SOURCE = "Hoffmann et al. 2022, arXiv:2203.15556, eq. 10 (constants as printed)"
BESIROGLU_SOURCE = "Besiroglu et al. 2024, arXiv:2404.10102, their estimates as printed"


@dataclass(frozen=True)
class Prediction:
    """A loss at given scales."""

    law: str
    constants: dict[str, float]
    scales: dict[str, float]
    loss: float
    rel: float
    source: str


@dataclass(frozen=True)
class Allocation:
    """The compute-optimal params and tokens of E + A/N^alpha + B/D^beta at C = 6ND.

    N* = gain (C/6)^exponent, D* = (C/6)^(1 - exponent) / gain.
    """

    constants: dict[str, float]
    flops: float
    exponent: float
    gain: float
    params: float
    tokens: float
    tokens_per_param: float
    rel: float
    source: str


KAPLAN = {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095}
# The constants of the single-variable laws in the joint form; the joint fit's own constants are
# left out until someone reads them in the paper.
KAPLAN_SOURCE = "Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5: [(Nc/N)^(aN/aD) + Dc/D]^aD"

# Their tied law: E + A/N'^alpha + B/D'^alpha, N' and D' discounted for repetition.
MUENNIGHOFF_SOURCE = "Muennighoff et al. 2023, arXiv:2305.16264, code of huggingface/datablations"
MUENNIGHOFF = {
    "log_A": 6.255414,
    "log_B": 7.3049974,
    "log_E": 0.6254804,
    "alpha": 0.3526596,
    "beta": 0.3526596,
    "R_D": 15.387756,
    "R_N": 5.309743,
}
# D'/U at this many epochs of U unique tokens: 1 + R_D (1 - exp(-(epochs - 1) / R_D)).
MUENNIGHOFF_MULTIPLES = {2: 1.968, 4: 3.726, 8: 6.624, 16: 10.58, 40: 15.17}
# On the 182 runs; "no_decay" lets both half-lives go to infinity.
MUENNIGHOFF_R2 = {"published": 0.7722046, "no_decay": 0.4451684}
# (R_D*, R_N*, objective): summed Huber, delta 1e-3, on log loss of the 182 runs; recomputed in
# benchmarks/muennighoff.py. The first is the published pair, and no global minimum.
MUENNIGHOFF_MINIMA = (
    (15.387756, 5.309743, 0.015825935),
    (46.99, 2.33, 0.01580738),
    (95.37, 1.706, 0.01580466),
    (160.7, 1.449, 0.01581129),
)

PREDICTIONS = (
    Prediction(
        "chinchilla", HOFFMANN, {"params": 70e9, "tokens": 1.4e12}, 1.9366, 3e-5, HOFFMANN_SOURCE
    ),
    Prediction(
        "chinchilla", HOFFMANN, {"params": 280e9, "tokens": 300e9}, 1.9933, 3e-5, HOFFMANN_SOURCE
    ),
    Prediction("kaplan", KAPLAN, {"params": 1e9, "tokens": 1e10}, 2.4838, 3e-5, KAPLAN_SOURCE),
    Prediction(
        "repeated_data",
        MUENNIGHOFF,
        {"params": 6.34e9, "tokens": 242e9, "unique_tokens": 25e9},
        2.2256440889984477,
        1e-14,
        MUENNIGHOFF_SOURCE,
    ),
    Prediction(
        "repeated_data",
        MUENNIGHOFF,
        {"params": 8.67e9, "tokens": 178e9, "unique_tokens": 25e9},
        2.2269634075087867,
        1e-14,
        MUENNIGHOFF_SOURCE,
    ),
)

ALLOCATIONS = (
    # The rounded exponents, not the law, give 93 tokens a parameter: a trap, not a finding.
    Allocation(HOFFMANN, 5.76e23, 0.4516, 1.3447, 3.22e10, 2.98e12, 92.6, 1e-3, HOFFMANN_SOURCE),
    Allocation(BESIROGLU, 5.76e23, 0.5126, 0.1196, 7.22e10, 1.33e12, 18.4, 1e-3, BESIROGLU_SOURCE),
)

# L = E + lambda_N N^b + lambda_M 6^(b/2) (M N)^b with M = D/N, fitted to five runs; C4 eval loss.
GADRE_SOURCE = "Gadre et al. 2024, arXiv:2403.08540, notebook and table of mlfoundations/scaling"
GADRE_LOSS = {  # training set: lambda_N, lambda_M, b, E
    "rpj": (166.211, 366.687, -0.272851, 1.836648),
    "c4_original": (113.693, 189.516, -0.242472, 1.508261),
    "rw_original": (125.096, 246.207, -0.254395, 1.734462),
}
GADRE_ERROR = {  # (training set, tasks): k, gamma, epsilon of epsilon - k exp(-gamma L)
    ("rpj", 17): (2.20649, 0.714591, 0.856992),
    ("c4_original", 46): (1.288516, 0.972164, 0.758949),
}
GADRE_MISS = {  # (training set, params, M): relative error of the predicted loss, percent
    ("rpj", 1_439_795_200, 640): 0.7103,
    ("rpj", 6_889_410_560, 20): 0.7320,
    ("c4_original", 6_889_410_560, 20): 4.295,
    ("rw_original", 6_889_410_560, 20): 1.619,
}
GADRE_ERROR_MISS = {  # relative error of the predicted 17-task error, percent, RedPajama
    (1_439_795_200, 640): 3.6365,
    (6_889_410_560, 20): 0.0464,
}
GADRE_HELD_OUT = {"runs": 89, "mean_percent": 1.808, "largest_percent": 14.7}

# Step 1: bits per byte = A/N^alpha + B/D^beta + E, at the 13B model's scales.
# Step 2: accuracy = a / (1 + exp(-k (bpb - x0))) + b, with a < 0.
OLMO_SOURCE = "Bhagia et al. 2024, allenai/OLMo-ladder, tables behind the paper's figures"
OLMO_SCALES = {"params": 13_202_396_160, "tokens": 5_000_080_130_048}
OLMO_STEP1 = {  # task: A, B, alpha, beta, E, predicted, actual; rel 1e-3
    "mmlu": (38.07, 100.09, 0.2262, 0.2361, 0.4541, 0.7502, 0.7488),
    "hellaswag": (11.231, 60.369, 0.1955, 0.2565, 0.5019, 0.6532, 0.6609),
    "arc_challenge": (7.03e5, 38.45, 0.7877, 0.1970, 0.6546, 0.7833, 0.7157),
    "piqa": (405.66, 10.159, 0.3978, 0.1533, 0.7217, 0.8748, 0.8988),
    "csqa": (56.855, 10.907, 0.2350, 0.1111, 0.0, 0.6617, 0.8116),
}
OLMO_STEP2 = {  # task: a, x0, k, b, accuracy at the actual bpb, accuracy at the predicted bpb
    "mmlu": (-0.7421, 0.616, 4.8334, 1.0, 0.51376, 0.51268),
    "hellaswag": (-0.7301, 0.7667, 12.742, 0.9921, 0.84157, 0.85304),
}
OLMO_CHAINED_PERCENT_OFF = {
    "mmlu": 0.67,
    "hellaswag": 2.54,
    "arc_challenge": 17.45,
    "arc_easy": 11.39,
    "piqa": 1.06,
    "csqa": 4.73,
    "socialiqa": 2.68,
    "openbookqa": 7.76,
}

# Power laws coefficient * C^exponent; C = M D with M in non-embedding FLOPs a token.
DEEPSEEK_SOURCE = "DeepSeek-AI 2024, arXiv:2401.02954, section 3 (from a secondary source)"
DEEPSEEK = {
    "learning_rate": (0.3118, -0.1250),
    "batch_tokens": (0.2920, 0.3271),
    "flops_per_token": (0.1715, 0.5243),
    "tokens": (5.8316, 0.4757),
}

# Per token: L(C) = E + (C/c)^-a in PF-days. Per image of T tokens: c T^(1/a), E T.
HENIGHAN_SOURCE = "Henighan et al. 2020, arXiv:2010.14701, tables 1 and 3"
PF_DAY_FLOPS = 8.64e19


@dataclass(frozen=True)
class ImageLaw:
    """One image domain: its law per token (table 1) and per image as printed (table 3)."""

    tokens_per_image: int
    irreducible: float
    scale: float
    exponent: float
    printed_scale: float
    printed_irreducible: float


HENIGHAN = {
    # Its printed scale, 1.9e3, disagrees with table 1 by a factor of ten; the others agree.
    "8x8": ImageLaw(192, 3.13, 1.8e-8, 0.19, 1.9e3, 602),
    "16x16": ImageLaw(768, 2.64, 1.6e-8, 0.16, 1.7e10, 2026),
    "32x32": ImageLaw(3072, 2.21, 3.6e-9, 0.10, 2.7e26, 6806),
    "vq16x16": ImageLaw(256, 4.09, 6.1e-7, 0.11, 4.7e15, 1047),
    "vq32x32": ImageLaw(1024, 3.17, 2.6e-6, 0.12, 3.1e19, 3246),
}
HENIGHAN_MISPRINT = "8x8"
