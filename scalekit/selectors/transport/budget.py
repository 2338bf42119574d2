"""What a distance will cost, told before it is computed: method, seconds, bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from scalekit.errors import InputError, did_you_mean

Method = Literal["auto", "exact", "entropic", "sliced"]
METHODS: tuple[str, ...] = get_args(Method)

EXACT_LIMIT = 5_000  # points a side: some 8 s and 1 GB
ENTROPIC_LIMIT = 20_000
TORCH_BYTES = 3e8
PAIR_BYTES = {"exact": 40.0, "entropic": 9.0}  # a pair of points: cost, kernel, arcs


@dataclass(frozen=True)
class CostEstimate:
    """`seconds` of one CPU core and `bytes` beyond the features, measured on a 2-core machine."""

    method: str
    seconds: float
    bytes: float
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.method} transport ({self.reason}): about {_time(self.seconds)} of one CPU "
            f"core and {_size(self.bytes)} of memory"
        )


def estimate_cost(
    n: int, m: int, dim: int, method: Method = "auto", directions: int = 100
) -> CostEstimate:
    """Return the method that `distance` will use for n against m points, its time and memory.

    The figures are fits to measurements (benchmarks/transport.py): the exact simplex grows as
    the 2.55th power of n, the refined entropic solver as n m, the sliced estimate as n log n.

    >>> estimate_cost(10_000, 10_000, 64).method
    'entropic'
    """
    if method not in METHODS:
        raise InputError(f"Unknown method '{method}'. {did_you_mean(method, METHODS)}")
    large, reason = max(n, m), "as asked"
    if method == "auto":
        reason = f"chosen for {n:,} against {m:,} points"
        if large <= EXACT_LIMIT:
            method = "exact"
        elif large <= ENTROPIC_LIMIT:
            method = "entropic"
        else:
            method = "sliced"
            reason += "; another quantity than W2, for ranking"
    if method == "exact":
        return CostEstimate(
            method, 7.9 * (n * m / 25e6) ** 1.275, PAIR_BYTES[method] * n * m, reason
        )
    if method == "entropic":
        seconds = 1e-7 * n * m * (1 + dim / 500)
        return CostEstimate(method, seconds, PAIR_BYTES[method] * n * m + TORCH_BYTES, reason)
    seconds = 1.1e-8 * (n + m) * directions * (1 + dim / 200)
    return CostEstimate(method, seconds, 4.0 * (n + m) * dim + 3e8, reason)


def check_memory(method: Method, n: int, m: int, dim: int, directions: int = 100) -> CostEstimate:
    """Return the estimate; raise InputError where it does not fit the memory that is free."""
    estimate = estimate_cost(n, m, dim, method, directions)
    free = available_memory()
    if estimate.bytes > 0.9 * free:
        raise InputError(
            f"{estimate.method} transport of {n:,} against {m:,} points needs "
            f"{_size(estimate.bytes)}; {_size(free)} are free. "
            + _advice(estimate.method, n * m, dim, free)
        )
    return estimate


def _advice(method: str, pairs: int, dim: int, free: float) -> str:
    each = PAIR_BYTES.get(method)
    side = int(0.5 * free / (8 * dim) if each is None else (0.5 * free / each) ** 0.5)
    choices = [] if each is None else ["the sliced distance"]
    if method == "exact" and PAIR_BYTES["entropic"] * pairs + TORCH_BYTES < 0.9 * free:
        choices.insert(0, "the entropic method")
    choices.append(f"a random subsample of at most {side // 100 * 100:,} points a side")
    return f"Use {', or '.join(choices)}."


def available_memory() -> float:
    """Return the bytes that can be allocated now."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
            table = dict(line.split(":") for line in lines)
        return float(table["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _size(count: float) -> str:
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
