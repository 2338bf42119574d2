"""A comparison as plain values and arrays, for `to_dict` and `save`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalekit.fitters.comparison_words import answer
from scalekit.fitters.fitted import Fit
from scalekit.notes import Note
from scalekit.results import Provenance

if TYPE_CHECKING:
    from scalekit.fitters.comparison import Comparison

PLAIN = ("by", "along", "select", "confidence_level", "interval_method")
PAIRS_UP_TO = 10  # systems: all their crossings are then listed


def payload_of(duel: Comparison) -> dict[str, Any]:
    """Return the verdict, the crossover and the fits as plain values."""
    table = duel.to_frame()
    last = table[table["at"] == duel.asked[-1]]
    pairs = [
        duel.crossover(a, b).answer()
        for k, a in enumerate(duel.systems)
        for b in duel.systems[k + 1 :]
    ] if len(duel.systems) <= PAIRS_UP_TO else []  # fmt: skip
    cross = duel.crossover()
    return {
        **{name: getattr(duel, name) for name in PLAIN},
        "laws": {law.name: law.formula for law in duel.laws},
        "by_law": duel.by_law().to_dict("records"),
        "systems": list(duel.systems),
        "params": {
            f"{name}.{parameter}": values
            for name, fit in duel.fits.items()
            for parameter, values in fit.payload()["params"].items()
        },
        "crossover": cross.answer(),
        "crossovers": pairs,
        "win_probability": dict(zip(last["system"], last["win_probability"], strict=True)),
        "at": duel.asked.tolist(),
        "table": table.to_dict("records"),
        "sentence": "; ".join(answer(duel, cross)) + ".",
        "drift": duel.drift,
        "n_rows": len(duel.runs),
        "rows_left_out": dict(duel.provenance.rows_left_out),
        "fits": [
            {name: fit.to_dict() for name, fit in fits.items()}
            for fits in (duel.fits, *duel.others)
        ],
    }


def arrays_of(duel: Comparison) -> dict[str, np.ndarray]:
    """Return draws and data."""
    found = {"drifts": duel.drifts, "asked": duel.asked}
    for block, fits in enumerate((duel.fits, *duel.others)):
        for k, fit in enumerate(fits.values()):
            found |= {f"{_prefix(block, k)}{name}": a for name, a in fit.arrays().items()}
    for name in duel.runs:
        column = duel.runs[name]
        found[f"run_{name}"] = (
            column.to_numpy(float)
            if pd.api.types.is_numeric_dtype(column)
            else column.astype(str).to_numpy(dtype=np.str_)
        )
    return found


def fields_of(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the fields of the comparison that `payload_of` and `arrays_of` wrote."""
    blocks = []
    for block, saved in enumerate(values["fits"]):
        fits = {}
        for k, (name, fit) in enumerate(saved.items()):
            start = _prefix(block, k)
            own = {key[len(start) :]: a for key, a in arrays.items() if key.startswith(start)}
            fits[name] = Fit.restore(fit, own)
        blocks.append(fits)
    return {
        **{name: values[name] for name in PLAIN},
        "fits": blocks[0],
        "others": tuple(blocks[1:]),
        "drifts": arrays["drifts"],
        "asked": arrays["asked"],
        "runs": pd.DataFrame({key[4:]: a for key, a in arrays.items() if key.startswith("run_")}),
        "notes": tuple(Note(**note) for note in values["notes"]),
        "provenance": Provenance.from_dict(values["provenance"]),
    }


def _prefix(block: int, system: int) -> str:
    return f"fit{block}_{system}_"
