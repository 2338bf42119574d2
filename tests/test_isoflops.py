"""IsoFLOP minima and envelopes: exponents recovered, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import FitError, InputError
from scalekit.fitters.valleys import valley
from scalekit.units import PF_DAY


def valleys(
    exponent: float = 0.5, noise: float = 0.0, reach: float = 4.0, seed: int = 0
) -> pd.DataFrame:
    """Return isoFLOP runs: five budgets, seven sizes each, the best at 1e8 (C/1e18)^exponent."""
    rng = np.random.default_rng(seed)
    rows = []
    for c in np.geomspace(1e18, 1e20, 5):
        best = 1e8 * (c / 1e18) ** exponent
        for ratio in np.geomspace(1 / reach, reach, 7):
            log_loss = np.log(3) - 0.05 * np.log(c / 1e18) + 0.02 * np.log(ratio) ** 2
            rows.append((c, best * ratio, np.exp(log_loss + noise * rng.standard_normal())))
    return pd.DataFrame(rows, columns=["flops", "params", "loss"])


@pytest.mark.parametrize("method", ["parabola", "cubic", "akima"])
def test_every_method_recovers_the_exponent_of_exact_valleys(method: str) -> None:
    found = sk.isoflop(valleys(0.55), method=method, resamples=50, rng=0)
    assert found.exponents.loc["params", "estimate"] == pytest.approx(0.55, abs=0.01)
    assert (found.table["status"] == "used").all()


@pytest.mark.parametrize("method", ["parabola", "cubic", "akima"])
def test_the_interval_holds_the_truth_under_noise(method: str) -> None:
    found = sk.isoflop(valleys(0.5, noise=0.002, seed=1), method=method, resamples=300, rng=0)
    assert 0.5 in found.exponent("params")
    assert 0.5 in found.exponent("tokens")


def test_the_interval_covers_as_often_as_it_says() -> None:
    hits = [
        0.5 in sk.isoflop(valleys(0.5, 0.003, seed=k), resamples=100, rng=k).exponent("params")
        for k in range(40)
    ]
    assert np.mean(hits) > 0.85


def test_a_parabola_has_its_minimum_where_the_formula_says() -> None:
    x = np.array([0.0, 1.0, 2.0, 4.0])
    place, bottom = valley(x, (0.3 + 2 * (x - 1.3) ** 2)[None], "parabola")
    assert (place[0], bottom[0]) == pytest.approx((1.3, 0.3))


def test_a_cubic_has_the_minimum_of_its_bend() -> None:
    x = np.linspace(-2, 2, 9)
    place, bottom = valley(x, (x**3 - 3 * x)[None], "cubic")
    assert (place[0], bottom[0]) == pytest.approx((1.0, -2.0))


@pytest.mark.parametrize("method", ["parabola", "cubic", "akima"])
def test_a_slope_has_no_minimum_inside(method: str) -> None:
    x = np.linspace(0, 3, 6)
    place, _ = valley(x, np.stack([np.exp(-x / 5), np.exp(x / 5)]), method)
    assert np.isnan(place).all()


def test_budgets_without_a_minimum_inside_are_left_out_and_told() -> None:
    runs = valleys()
    small = runs["flops"] < 2e18
    runs = runs[~small | (runs["params"] < 0.8e8)]
    found = sk.isoflop(runs, resamples=50, rng=0)
    assert found.table["status"].iloc[0] == "no minimum inside its sizes"
    assert "budgets_left_out" in {note.code for note in found.notes}
    assert found.exponents.loc["params", "estimate"] == pytest.approx(0.5, abs=0.01)


def test_fewer_than_three_minima_are_refused() -> None:
    runs = valleys()
    with pytest.raises(FitError, match=r"2 of 2 budgets.*exponent needs 3"):
        sk.isoflop(runs[runs["flops"] < 4e18])
    with pytest.raises(FitError, match=r"0 of 5 budgets.*Add smaller or larger models"):
        sk.isoflop(runs[runs["params"] < 5e7 * (runs["flops"] / 1e18) ** 0.5])
    with pytest.raises(InputError, match=r"no method 'parabel'.*'parabola'"):
        sk.isoflop(runs, method="parabel")


def test_isoflops_are_saved_drawn_and_predict(tmp_path: Path) -> None:
    found = sk.isoflop(valleys(noise=0.002), resamples=50, rng=0)
    back = sk.load(found.save(tmp_path / "iso.json"))
    assert back.summary() == found.summary()
    row = found.predict(1e22).iloc[0]
    assert row["params_lower"] < row["params"] < row["params_upper"]
    assert row["tokens"] == pytest.approx(1e22 / (6 * row["params"]))
    assert found.plot().lines


def test_porian_ladder_is_recovered(shared: Path) -> None:
    """Porian et al. 2024, arXiv:2406.19146, figure 1 (RefinedWeb): their pickles' exponents."""
    points = pd.read_csv(shared / "porian" / "isoflop_points.csv").query("dataset == 'rw'")
    fits = pd.read_csv(shared / "porian" / "published_fits.csv").query("dataset == 'rw'").head(5)
    keys = ["hparams", "warmup", "decay", "param_count", "val"]
    for published in fits.to_dict("records"):
        rows = points[(points[keys] == [published[k] for k in keys]).all(axis=1)]
        noise = np.interp(rows["loss"], [3, 7], [0.002, 0.05])  # their code's, for RefinedWeb
        runs = rows.rename(columns={"n_params": "params"}).assign(noise=noise)
        found = sk.isoflop(runs[["flops", "params", "loss", "noise"]], method="akima",
                           resamples=300, rng=0)  # fmt: skip
        assert published["a"] in found.exponent("params")
        assert found.exponents.loc["params", "estimate"] == pytest.approx(published["a"], abs=0.02)


def curves(alpha: float = 0.34, beta: float = 0.36) -> pd.DataFrame:
    rows = []
    for n in np.geomspace(1e6, 1e9, 14):
        tokens = np.geomspace(1e8, 4e11, 60)
        loss = 1.7 + 400 / n**alpha + 1500 / tokens**beta
        rows.append(pd.DataFrame({"run": f"{n:.3g}", "params": n, "tokens": tokens, "loss": loss}))
    return pd.concat(rows, ignore_index=True)


def test_the_envelope_of_known_curves_has_the_known_exponents() -> None:
    """For E + A/N^a + B/D^b the optimum grows as C^(b/(a+b)), its loss falls as C^(-ab/(a+b))."""
    alpha, beta = 0.34, 0.36
    found = sk.envelope(curves(alpha, beta), resamples=200, rng=0)
    exact = beta / (alpha + beta)
    assert found.exponents.loc["params", "estimate"] == pytest.approx(exact, abs=0.03)
    assert exact in found.exponent("params")
    assert found.loss_fit.params["alpha"] == pytest.approx(alpha * exact, abs=0.02)
    assert found.loss_fit.params["E"] == pytest.approx(1.7, abs=0.05)


def test_the_law_of_the_envelope_stays_below_it() -> None:
    found = sk.envelope(curves(), resamples=50, rng=0)
    above = found.loss_fit.residuals < 0
    assert np.max(-found.loss_fit.residuals[above], initial=0.0) < 2e-3


def test_an_envelope_is_saved_and_drawn(tmp_path: Path) -> None:
    found = sk.envelope(curves(), resamples=50, rng=0)
    assert found.plot().lines
    assert sk.load(found.save(tmp_path / "e.json")).summary() == found.summary()


def test_curves_that_do_not_enclose_the_frontier_are_refused() -> None:
    table = curves()
    with pytest.raises(FitError, match=r"2 model sizes"):
        sk.envelope(table[table["params"] < 2e6])
    with pytest.raises(InputError, match=r"no column 'run'"):
        sk.envelope(table.drop(columns="run"))


@pytest.mark.parametrize(
    ("tokens", "c_token", "exponent", "c_image"),
    [(192, 1.8e-8, 0.19, 1.87e4), (768, 1.6e-8, 0.16, 1.73e10), (3072, 3.6e-9, 0.10, 2.69e26),
     (256, 6.1e-7, 0.11, 4.77e15), (1024, 2.6e-6, 0.12, 3.17e19)],
)  # fmt: skip
def test_nats_per_token_become_nats_per_image(
    tokens: int, c_token: float, exponent: float, c_image: float
) -> None:
    """Henighan et al. 2020, tables 1 and 3: c_image = c_token * T^(1/a), with C in PF-days.

    The first entry is 1.87e4 here and 1.9e3 in their table 3: a slip there, since the other four
    agree.
    """
    grid = np.geomspace(1e-3, 1e3, 12) * PF_DAY
    runs = {"flops": grid, "loss": 3.0 * tokens + tokens * (grid / PF_DAY / c_token) ** -exponent}
    found = sk.fit(runs, "power_constant", along="flops", resamples=0)
    scale = (found.params["A"]) ** (1 / found.params["alpha"]) / PF_DAY
    assert scale == pytest.approx(c_image, rel=0.02)
