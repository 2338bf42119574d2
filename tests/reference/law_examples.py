"""One sensible example of every law: parameter values and scales at which it can be tried."""

from __future__ import annotations

import numpy as np

X = np.geomspace(1e3, 1e7, 48)
_N, _D = (
    grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(3e8, 3e10, 6))
)
_U = np.geomspace(2e8, 2e9, 3)
_NR, _DR, _UR = (
    grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 3e9, 5), np.geomspace(3e8, 6e10, 6), _U)
)
PARAMS_TOKENS = {"params": _N, "tokens": _D}
REPEATED = {"params": _NR, "tokens": _DR, "unique_tokens": _UR}

EXAMPLES: dict[str, dict[str, float]] = {
    "power": {"A": 10, "alpha": 0.2},
    "power_constant": {"E": 1.5, "A": 40, "alpha": 0.3},
    "shifted_power": {"E": 1.5, "A": 40, "alpha": 0.3, "x0": 3e4},
    "m3": {"b": 50, "g": 1e-6, "c": 0.3},
    "m4": {"E": 1.0, "a": 0.5, "I": 8.0, "b": 60, "c": 0.4},
    "bnsl1": {"E": 0.5, "b": 10, "c0": 0.1, "c1": 0.3, "d1": 1e5, "f1": 0.5},
    "bnsl2": {
        "E": 0.5,
        "b": 10,
        "c0": 0.05,
        "c1": 0.4,
        "d1": 2e4,
        "f1": 0.2,
        "c2": -0.35,
        "d2": 6e5,
        "f2": 0.2,
    },
    "bnsl3": {
        "E": 0.5,
        "b": 10,
        "c0": 0.05,
        "c1": 0.3,
        "d1": 1.2e4,
        "f1": 0.3,
        "c2": -0.25,
        "d2": 1.5e5,
        "f2": 0.3,
        "c3": 0.4,
        "d3": 1.5e6,
        "f3": 0.3,
    },
    "kaplan": {"Nc": 8.8e13, "alpha_N": 0.076, "alpha_D": 0.095, "Dc": 5.4e13},
    "chinchilla": {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658},
    "chinchilla_tied": {"E": 1.87, "A": 521, "alpha": 0.353, "B": 1488},
    "gadre": {"E": 1.836648, "lambda_N": 166.211, "eta": 0.272851, "lambda_M": 366.687},
    "repeated_data": {
        "E": 1.87,
        "A": 521,
        "alpha": 0.33,
        "B": 1488,
        "beta": 0.37,
        "R_N": 5.3,
        "R_D": 15.4,
    },
    "exponential": {"E": 1.0, "A": 3.0, "x0": 2e6},
    "log_power": {"A": 6.0, "alpha": 0.3, "x0": 1e5},
    "lcdb_log2": {"a": 8.0, "b": 0.3},
    "lcdb_ilog2": {"E": 1.0, "a": 20.0},
    "lcdb_exp2": {"A": 6.0, "x0": 5e6},
    "lcdb_exp4": {"E": 1.0, "A": 4.0, "alpha": 0.5, "x0": 1e6},
    "lcdb_expp3": {"E": 0.2, "alpha": 0.4, "x0": 1e6},
    "lcdb_lin2": {"a": 5.0, "b": 3e-7},
    "lcdb_vap3": {"a": 2.0, "b": 100.0, "c": -0.1},
    "lcdb_mmf4": {"I": 6.0, "E": 1.0, "alpha": 0.5, "x0": 1e5},
}


def scales_of(names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return scales for a law that depends on `names`."""
    if "unique_tokens" in names:
        return REPEATED
    return PARAMS_TOKENS if "params" in names else dict.fromkeys(names, X)
