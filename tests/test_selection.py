"""Which runs the curve of a recipe follows: all, the best at each size, or the frontier."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.fitters.paired import best_within
from scalekit.fitters.selection import guess_selection, selected_weights
from tests.recipes import two_recipes


def test_a_grid_of_sizes_is_compared_on_its_frontier() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for name, e in (("a", 1.7), ("b", 1.6)):
        for n in np.geomspace(1e7, 1e9, 7):
            for d in np.geomspace(1e8, 1e11, 7):
                loss = (e + 400 / n**0.34 + 1500 / d**0.36) * np.exp(0.003 * rng.standard_normal())
                rows.append((name, n, d, loss))
    runs = pd.DataFrame(rows, columns=["recipe", "params", "tokens", "loss"])
    duel = sk.compare(runs, by="recipe", law="power_constant", resamples=200, rng=0)
    assert duel.select == "frontier"
    assert all(len(fit.loss) < 30 for fit in duel.fits.values())
    surface = sk.compare(runs, by="recipe", law="chinchilla", resamples=100, rng=0)
    assert surface.along == "flops"
    at = 6 * 1e9 * 1e11
    exact = surface.fits["a"].frontier(at).table["loss"].iloc[0]
    assert np.exp(surface.curves["a"].estimate(np.array([at]))[0]) == pytest.approx(exact)


def test_the_frontier_is_selected_anew_in_every_resample() -> None:
    along = np.array([1.0, 2.0, 3.0, 4.0])
    loss = np.array([4.0, 5.0, 3.0, 2.0])
    counts = np.array([[1, 1, 1, 1], [0, 1, 2, 1], [1, 0, 0, 1]], dtype=float)
    weights = selected_weights("frontier", along, loss, np.arange(4), counts)
    assert weights.tolist() == [[1, 0, 1, 1], [0, 1, 1, 1], [1, 0, 0, 1]]


def test_the_best_of_each_cell_is_the_best_of_what_was_drawn() -> None:
    loss = np.array([2.0, 1.0, 5.0, 4.0])
    cells = np.array([0, 0, 1, 1])
    counts = np.array([[1, 1, 1, 1], [2, 0, 0, 2], [0, 0, 1, 0]], dtype=float)
    weights = selected_weights("best", np.ones(4), loss, cells, counts)
    assert weights.tolist() == [[0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 1, 0]]


def test_best_of_a_grid_follows_the_best_runs_and_warns_of_unequal_tuning() -> None:
    rng = np.random.default_rng(0)
    base = two_recipes(noise=0.0)
    tries = base["recipe"].map({"old": 4, "new": 12})
    runs = base.loc[base.index.repeat(tries)].reset_index(drop=True)
    runs["loss"] *= np.exp(0.03 * rng.exponential(size=len(runs)))
    runs["lr"] = rng.uniform(size=len(runs))
    duel = sk.compare(runs, by="recipe", law="power_constant", select="best", resamples=100, rng=0)
    assert all(len(fit.loss) == 9 for fit in duel.fits.values())
    assert "unequal_tuning" in {note.code for note in duel.notes}


def test_one_path_of_sizes_is_no_grid() -> None:
    flops = np.geomspace(1e18, 1e21, 10)
    assert guess_selection(flops, [np.sqrt(flops)]) == "all"
    assert guess_selection(np.repeat(flops, 3), [np.tile([1e7, 1e8, 1e9], 10)]) == "frontier"


def test_the_largest_run_is_that_which_was_run_not_that_which_is_followed() -> None:
    runs = two_recipes()
    bad = pd.DataFrame({"recipe": ["old"], "flops": [1e21], "loss": [4.0]})
    duel = sk.compare(pd.concat([runs, bad]), by="recipe", select="frontier", law="power_constant",
                      at=1e21, resamples=60, rng=0)  # fmt: skip
    table = duel.win_probability().set_index("system")
    assert duel.reach == 1e21
    assert table.loc["old", "extrapolation"] == 0
    assert table.loc["new", "extrapolation"] == pytest.approx(np.log10(1e21 / 2e20))
    assert "largest_not_followed" in [note.code for note in duel.notes]


def tuned(low: float, high: float, seed: int = 0) -> pd.DataFrame:
    """Return two recipes with four learning rates at each size; that of "new" spans low to high."""
    rng = np.random.default_rng(seed)
    base = two_recipes(noise=0.0)
    parts = []
    for name, rates in (("old", (1e-3, 4e-3)), ("new", (low, high))):
        part = base[base["recipe"] == name]
        for rate in np.geomspace(*rates, 4):
            moved = 0.02 * np.log(rate / 2e-3) ** 2 + 0.004 * rng.standard_normal(len(part))
            parts.append(part.assign(lr=rate, loss=part["loss"] * np.exp(moved)))
    return pd.concat(parts, ignore_index=True)


def test_runs_of_a_size_that_differ_in_a_hyper_parameter_are_represented_by_the_best() -> None:
    runs = tuned(1e-3, 4e-3)
    duel = sk.compare(runs, by="recipe", law="power_constant", resamples=60, rng=0)
    assert duel.select == "best"
    assert all(len(fit.loss) == 9 for fit in duel.fits.values())
    told = {note.code: note.message for note in duel.notes}["best_selected"]
    assert "differ in lr" in told
    assert "--select all" in told
    seeds = runs.rename(columns={"lr": "seed"})
    assert sk.compare(seeds, by="recipe", law="power", resamples=20, rng=0).select == "all"


def test_only_runs_within_noise_of_the_best_may_be_the_best() -> None:
    loss, cells = np.array([1.0, 1.001, 1.5, 2.0, 2.2]), np.array([0, 0, 0, 1, 1])
    drawn = best_within(loss, cells, 0.01, 400, np.random.default_rng(0))
    share = drawn.mean(axis=0)
    assert share[0] + share[1] == pytest.approx(1)
    assert 0.4 < share[0] < 0.65
    assert share[2:].tolist() == [0, 1, 0]


def test_a_wider_sweep_is_not_held_against_a_recipe() -> None:
    """Its best runs are as good; only the runs that nobody would use are worse."""
    at = 2e21
    rows = []
    for low, high in ((1e-3, 4e-3), (2.5e-4, 1.6e-2)):
        duel = sk.compare(tuned(low, high), by="recipe", law="power_constant", drift=False, at=at,
                          resamples=300, rng=0)  # fmt: skip
        curves = [duel.curves[name] for name in ("new", "old")]
        draws, centre = (
            getattr(curves[0], name)(np.array([at])) - getattr(curves[1], name)(np.array([at]))
            for name in ("draws", "estimate")
        )
        rows.append(float(np.median(draws) - centre[0]))
    assert abs(rows[1] - rows[0]) < 0.004  # one deviation of a run's noise


def test_a_frontier_of_many_more_runs_is_warned_of() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for name, count in (("dense", 9), ("sparse", 5)):
        n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, count),
                                               np.geomspace(1e8, 1e10, count)))  # fmt: skip
        loss = (1.7 + 400 / n**0.34 + 1500 / d**0.36) * np.exp(0.003 * rng.standard_normal(n.size))
        parts.append(pd.DataFrame({"recipe": name, "params": n, "tokens": d, "loss": loss}))
    runs = pd.concat(parts)
    options = {"by": "recipe", "law": "power", "resamples": 40, "rng": 0}
    told = {note.code: note.message for note in sk.compare(runs, **options).notes}
    assert "(dense 81, sparse 25)" in told["unequal_tuning"]
    alike = runs[runs["recipe"] == "dense"]
    twins = pd.concat([alike, alike.assign(recipe="other", loss=alike["loss"] * 1.01)])
    codes = [note.code for note in sk.compare(twins, **options).notes]
    assert "frontier_selected" in codes
    assert "unequal_tuning" not in codes
