"""Quantities as people write them ("7B", "1.4T"), and the FLOPs of training a transformer."""

from __future__ import annotations

import re

from scalekit.errors import InputError

SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}
PF_DAY = 8.64e19  # FLOPs of one petaFLOP/s-day (Kaplan et al. 2020)
_FLOP_UNITS = {
    "flop": 1.0,
    "mflop": 1e6,
    "gflop": 1e9,
    "tflop": 1e12,
    "pflop": 1e15,
    "eflop": 1e18,
    "zflop": 1e21,
    "yflop": 1e24,
    "pf-day": PF_DAY,
    "pfday": PF_DAY,
}
_QUANTITY = re.compile(
    r"([+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"\s*([A-Za-z-]*)"
)


def parse_quantity(text: str | float) -> float:
    """Return the number that `text` says: "7B" is 7e9, "1.4T" 1.4e12, "3 PF-days" 2.592e20.

    Suffixes: k, M, B or G, T, P, E; FLOP units: FLOP, GFLOP ... YFLOP, PF-days. Upper and lower
    case are the same. Raises InputError for anything else.

    >>> parse_quantity("7B"), parse_quantity("1.4T"), parse_quantity("2e21")
    (7000000000.0, 1400000000000.0, 2e+21)
    """
    if isinstance(text, (int, float)):
        return float(text)
    match = _QUANTITY.fullmatch(str(text).strip())
    if match:
        number = float(match[1].replace(",", "").replace("_", ""))
        unit = match[2].lower()
        for candidate in (unit, unit.removesuffix("s")):
            factor = SUFFIXES.get(candidate, _FLOP_UNITS.get(candidate))
            if factor is not None:
                return number * factor
    raise InputError(
        f"Cannot read {text!r} as a quantity. Write a number with an optional suffix, "
        "such as 7e9, 7B, 1.4T or 3 PF-days."
    )


def format_quantity(value: float, digits: int = 3) -> str:
    """Return `value` in the short form people write: 7e9 is "7B", 5.76e23 is "5.76e+23".

    >>> format_quantity(7e9), format_quantity(1.4e12), format_quantity(5.76e23)
    ('7B', '1.4T', '5.76e+23')
    """
    rounded = float(f"{value:.{digits}g}")  # first, so that 999.9M becomes 1B
    for factor, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if factor <= abs(rounded) < factor * 1e3:
            return f"{rounded / factor:.15g}{suffix}"
    return f"{value:.{digits}g}"


def format_scale(value: float, scale: str) -> str:
    """Return `value` of a scale as people write it: FLOPs as powers of ten, others with a suffix.

    >>> format_scale(1e13, "flops"), format_scale(7e9, "params")
    ('1e+13', '7B')
    """
    return f"{value:.3g}" if scale == "flops" else format_quantity(value)


def training_flops(params: float, tokens: float) -> float:
    """Return the usual estimate C = 6 N D of training FLOPs (Kaplan et al. 2020, section 2.1).

    Works on scalars and arrays. Leaves out attention and, if `params` does, the embeddings: see
    `transformer_flops_per_token` for the count that includes them.
    """
    return 6.0 * params * tokens


def transformer_flops_per_token(
    layers: int, width: int, context: int, vocabulary: int = 0, feedforward_ratio: float = 4.0
) -> float:
    """Return the FLOPs of one token's forward and backward pass through a decoder.

    Counts two FLOPs per multiply-add, backward as twice the forward: projections and feed-forward
    layers, causal attention at full context (the usual count, not halved for the mask) and the
    output head of `vocabulary` columns (0 leaves it out). Hoffmann et al. 2022, appendix F, less
    the input embedding, which costs no multiplication as a table look-up.

    >>> round(transformer_flops_per_token(12, 768, 1024) / 6e6, 1)
    103.8
    """
    projections = 2 * (4 * width**2 + 2 * feedforward_ratio * width**2)
    attention = 2 * 2 * context * width
    head = 2 * vocabulary * width
    return float(3 * (layers * (projections + attention) + head))


def percent(share: float) -> str:
    """Return a share in percent, with as many digits as it has, up to four.

    >>> percent(0.95), percent(0.995), percent(0.07)
    ('95%', '99.5%', '7%')
    """
    return f"{100 * share:.4g}%"
