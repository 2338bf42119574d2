"""Comparing recipes under several laws that share the draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import InputError
from tests.recipes import two_recipes


def test_by_default_laws_share_the_draws_in_equal_parts() -> None:
    duel = sk.compare(two_recipes(), by="recipe", at=1e22, resamples=300, rng=0)
    assert [law.name for law in duel.laws] == ["power_constant", "power", "shifted_power"]
    draws = [len(fits["old"].draws) for fits in (duel.fits, *duel.others)]
    assert max(draws) - min(draws) <= 3
    alone = [duel.under(law.name).win_probability() for law in duel.laws]
    chance = sum(n * t["win_probability"] for n, t in zip(draws, alone, strict=True)) / sum(draws)
    mixed = duel.win_probability()
    assert mixed["win_probability"].to_numpy() == pytest.approx(chance.to_numpy())
    assert list(duel.by_law()["law"]) == [law.name for law in duel.laws]
    assert "each law alone: power_constant: new" in duel.summary()
    few = sk.compare(two_recipes(sizes=6), by="recipe", resamples=60, rng=0)
    assert [law.name for law in few.laws] == ["power_constant", "power"]


def test_a_mix_of_laws_is_wider_than_any_law_where_they_disagree() -> None:
    duel = sk.compare(two_recipes(noise=0.001), by="recipe", resamples=300, rng=0, drift=False)
    width = (
        t["ci_upper"] - t["ci_lower"]
        for t in (
            duel.difference(1e24),
            *(duel.under(law.name).difference(1e24) for law in duel.laws),
        )
    )
    mixed, *each = (float(values.iloc[0]) for values in width)
    assert mixed > max(each[:2])


def test_where_laws_name_different_winners_a_note_says_so() -> None:
    x = np.geomspace(1e18, 1e20, 9)
    runs = pd.DataFrame({
        "recipe": ["low"] * 9 + ["steep"] * 9, "flops": np.tile(x, 2),
        # pure powers cross at 1.5e21; with their constants the second never gets there
        "loss": np.concatenate([2.2 * (x / 1e18) ** -0.03, 1.9 + 0.45 * (x / 1e18) ** -0.3]),
    })  # fmt: skip
    duel = sk.compare(runs, by="recipe", at=1e26, resamples=200, rng=0)
    assert len(set(duel.by_law()["best"])) == 2
    assert "hangs_on_law" in [note.code for note in duel.notes]
    assert "hangs_on_law" not in [n.code for n in duel.under("power").decide(1e26).notes]


def test_a_mix_of_laws_is_saved_and_loaded_whole(tmp_path: Path) -> None:
    duel = sk.compare(two_recipes(), by="recipe", resamples=90, rng=0)
    again = sk.load(duel.save(tmp_path / "duel.json"))
    pd.testing.assert_frame_equal(again.by_law(), duel.by_law())
    assert again.summary() == duel.summary()


def test_laws_of_a_mix_are_checked() -> None:
    options = {"by": "recipe", "resamples": 30, "rng": 0}
    asked = sk.compare(two_recipes(), law=["power", "power_constant"], **options)
    assert [law.name for law in asked.laws] == ["power", "power_constant"]
    with pytest.raises(InputError, match="same law twice"):
        sk.compare(two_recipes(), law=["power", "power"], **options)
    with pytest.raises(InputError, match="empty list"):
        sk.compare(two_recipes(), law=[], **options)
    with pytest.raises(InputError, match="depend on the same scales"):
        runs = two_recipes().assign(params=1e8, tokens=lambda t: t["flops"] / 6e8)
        sk.compare(runs, law=["power", "chinchilla"], along="flops", **options)
    with pytest.raises(InputError, match="no law 'powr'"):
        asked.under("powr")


def test_no_resample_is_lost_where_a_parameter_of_a_law_is_zero() -> None:
    """Over five decades the shift of "shifted_power" is fitted as exactly zero."""
    rng = np.random.default_rng(3)
    x = np.geomspace(1e17, 1e22, 12)
    parts = [
        pd.DataFrame({
            "recipe": name, "flops": x,
            "loss": (e + a * (x / 1e18) ** -0.25) * np.exp(0.004 * rng.standard_normal(12)),
        })
        for name, e, a in (("old", 1.8, 1.5), ("new", 1.687, 1.75))
    ]  # fmt: skip
    duel = sk.compare(pd.concat(parts), by="recipe", resamples=90, rng=0)
    assert duel.others[1]["old"].params["x0"] == 0
    assert [len(fits["old"].draws) for fits in (duel.fits, *duel.others)] == [30, 30, 30]
    assert "resamples_lost" not in [note.code for note in duel.notes]
