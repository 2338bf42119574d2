"""Three approaches to the same budgets: they agree where they should, and say where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import InputError


def grid(noise: float = 0.001, bend: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"params": n, "tokens": c / 6 / n, "flops": c}
        for c in np.geomspace(1e18, 1e21, 7)
        for n in np.sqrt(c / 120) * np.geomspace(0.25, 4, 9)
    ]
    table = pd.DataFrame(rows)
    loss = 1.8 + 480 / table["params"] ** 0.35 + 2000 / table["tokens"] ** 0.37
    loss = loss + bend * np.log(table["params"] / np.sqrt(table["flops"] / 120)) ** 2
    return table.assign(loss=loss * np.exp(noise * rng.standard_normal(len(table))))


def curves() -> pd.DataFrame:
    parts = []
    for n in np.geomspace(3e7, 3e9, 14):
        tokens = np.geomspace(2e8, 2e11, 60)
        loss = 1.8 + 480 / n**0.35 + 2000 / tokens**0.37
        parts.append(pd.DataFrame({"run": f"{n:.3g}", "params": n, "tokens": tokens, "loss": loss}))
    return pd.concat(parts)


def test_the_approaches_agree_on_one_law(tmp_path: Path) -> None:
    found = sk.allocation_approaches(grid(), [1e22, 1e24], curves=curves(), rng=0)
    exponents = found.exponents.set_index("approach")
    assert exponents.index.tolist() == ["envelope", "isoflop", "parametric"]
    # N* ~ C^(beta / (alpha + beta)) = .514
    np.testing.assert_allclose(exponents["estimate"], 0.37 / 0.72, atol=0.03)
    row = exponents.loc["parametric"]
    assert row["ci_lower"] < 0.37 / 0.72 < row["ci_upper"]
    at = found.table[found.table["flops"] == 1e24].set_index("approach")["params"]
    assert at.max() / at.min() < 1.6
    found.save(tmp_path / "a.json")
    assert sk.load(tmp_path / "a.json").summary() == found.summary()
    assert found.plot().get_xlabel() == "FLOPs"


def test_what_the_runs_do_not_allow_is_refused_with_the_reason() -> None:
    found = sk.allocation_approaches(grid(), 1e22)
    refused = found.exponents.set_index("approach").loc["envelope", "refused"]
    assert "there is no column run" in refused
    assert "curves=" in refused
    with pytest.raises(InputError, match="None of the three approaches"):
        sk.allocation_approaches(grid()[:2], 1e22)


def test_refusals_come_last_and_call_the_file_by_its_name(tmp_path: Path) -> None:
    table = grid().assign(run=[f"r{k}" for k in range(len(grid()))])
    table.to_csv(tmp_path / "grid.csv", index=False)
    found = sk.allocation_approaches(sk.read_runs(tmp_path / "grid.csv", quiet=True), 1e22)
    lines = found.summary().split("\n\n")[0].splitlines()
    assert lines[0].startswith("isoflop: params ~")
    assert lines[-1].startswith("envelope: refused. grid.csv holds no training curves: each run")


def test_a_law_of_the_wrong_shape_shows_as_disagreement() -> None:
    """A table whose isoFLOP curves are far steeper than any sum of power laws."""
    data = grid(noise=0.0005, bend=0.0)
    shift = 0.25 * np.log(data["flops"] / 1e18)
    away = np.log(data["params"] / np.sqrt(data["flops"] / 120)) - 0.3 * shift
    found = sk.allocation_approaches(data.assign(loss=data["loss"] + 0.3 * away**2), 1e22)
    assert "approaches_disagree" in [note.code for note in found.notes]
