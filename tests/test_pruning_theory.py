"""The perceptron theory against published equations, reference values and its own experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

import scalekit as sk
from scalekit.errors import InputError
from scalekit.selectors.pruning_theory import (
    crossover,
    information_gain,
    perceptron,
    plot_theory,
    simulate,
    theory_map,
)

# shared/methods/scores.md 1.5: an independent solver, by kept examples a dimension
UNPRUNED = {0.1: 0.420428, 0.5: 0.328850, 1: 0.265711, 2: 0.188479, 4: 0.113657, 8: 0.060904,
            16: 0.031065, 64: 0.007817, 256: 0.001955}  # fmt: skip
SHARES = (1, 0.8, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
HARD = {
    1: (0.26571, 0.27131, 0.32105, 0.38076, 0.41767, 0.45793, 0.47885, 0.49153, 0.49576),
    1.5: (0.22158, 0.20818, 0.21536, 0.26279, 0.31631, 0.39731, 0.44700, 0.47860, 0.48929),
    2: (0.18848, 0.16675, 0.13610, 0.11228, 0.09712, 0.07630, 0.06019, 0.04414, 0.03496),
    3: (0.14284, 0.12008, 0.08124, 0.05114, 0.03472, 0.01757, 0.00881, 0.00353, 0.00176),
    4: (0.11366, 0.09383, 0.06099, 0.03729, 0.02502, 0.01256, 0.00629, 0.00251, 0.00126),
    8: (0.06090, 0.04918, 0.03106, 0.01872, 0.01250, 0.00625, 0.00313, 0.00125, 0.00063),
}
TURNED = {(1, 0.5, 10): 0.32446, (2, 0.5, 10): 0.14707, (2, 0.5, 20): 0.18010,
          (4, 0.2, 10): 0.03927, (4, 0.2, 20): 0.15242, (4, 0.5, 40): 0.10313}  # fmt: skip


def test_errors_without_pruning() -> None:
    found = perceptron(list(UNPRUNED)).error
    np.testing.assert_allclose(found, list(UNPRUNED.values()), atol=1e-6)


@pytest.mark.parametrize("kept", HARD)
def test_errors_with_the_hard_examples_kept(kept: float) -> None:
    found = perceptron(kept / np.array(SHARES), SHARES).error
    np.testing.assert_allclose(found, HARD[kept], atol=1e-5)


def test_errors_with_the_easy_examples_kept() -> None:
    found = perceptron([2, 8], 0.5, side="easy").error
    np.testing.assert_allclose(found, [0.18183, 0.06792], atol=1e-5)


@pytest.mark.parametrize("setting", TURNED)
def test_errors_with_a_probe_that_is_off(setting: tuple[float, float, float]) -> None:
    kept, keep, degrees = setting
    found = perceptron(kept / keep, keep, np.radians(degrees)).error
    assert found == pytest.approx(TURNED[setting], abs=1e-5)


@pytest.mark.parametrize(("kept", "keep"), [(1, 0.5), (2, 0.2), (4, 0.5), (4, 1.0), (3, 0.8)])
def test_the_published_saddle_point_holds(kept: float, keep: float) -> None:
    """Sorscher et al. 2022, appendix: the two equations for a probe that is the teacher."""
    found = perceptron(kept / keep, keep)
    overlap, margin = found.overlap, found.margin
    rest = 1 - overlap**2
    gamma = -ndtri((1 - keep) / 2) if keep < 1 else 40.0

    def tail(x: float) -> float:
        return float(ndtr(-x))

    def density(t: float) -> float:
        return float(np.exp(-t * t / 2) / np.sqrt(2 * np.pi))

    first = quad(lambda t: density(t) * np.exp(-(overlap**2) * t * t / (2 * rest))
                 * (1 - np.exp(-gamma * (gamma - 2 * overlap * t) / (2 * rest))) * (margin - t),
                 -12, margin, limit=400, epsabs=1e-13)[0]  # fmt: skip
    second = quad(lambda t: density(t) * (tail(-overlap * t / np.sqrt(rest))
                  - tail(-(overlap * t - gamma) / np.sqrt(rest))) * (margin - t) ** 2,
                  -12, margin, limit=400, epsabs=1e-13)[0]  # fmt: skip
    assert 2 * kept / (keep * np.sqrt(2 * np.pi * rest)) * first == pytest.approx(overlap, abs=1e-8)
    assert 2 * kept / keep * second == pytest.approx(rest, abs=1e-8)


@pytest.mark.parametrize(("kept", "keep", "degrees"), [(2, 0.5, 20), (4, 0.2, 10), (1, 0.5, 10)])
def test_the_published_saddle_point_holds_for_a_probe_that_is_off(
    kept: float, keep: float, degrees: float
) -> None:
    """The first two general equations (appendix); averages over the kept z by Gauss-Legendre."""
    angle = np.radians(degrees)
    found = perceptron(kept / keep, keep, angle)
    r, rho, k = found.overlap, found.probe_overlap, found.margin
    c, s = np.cos(angle), np.sin(angle)
    length = np.sqrt(s**2 - r**2 - rho**2 + 2 * rho * r * c)
    gamma = -ndtri((1 - keep) / 2)
    node, weight = np.polynomial.legendre.leggauss(400)
    z, wz = gamma * node, gamma * weight
    wz = wz * np.exp(-z * z / 2)
    wz = wz / wz.sum()
    t, wt = (k + 12) / 2 * node + (k - 12) / 2, (k + 12) / 2 * weight
    Z, T = np.meshgrid(z, t, indexing="ij")
    both = wz[:, None] * wt
    D = Z**2 * (rho**2 + c**2 - 2 * rho * r * c) + 2 * T * Z * (r * c - rho) + T**2 * s**2
    one = kept / (np.pi * length) * np.sum(both * np.exp(-D / (2 * length**2)) * (k - T))
    G = Z * (rho * r - c) - T * (r - rho * c)
    wide = np.sqrt(1 - rho**2)
    normal = np.exp(-((T - rho * Z) ** 2) / (2 * wide**2)) / (wide * np.sqrt(2 * np.pi))
    two = 2 * kept * np.sum(both * normal * ndtr(-G / (wide * length)) * (k - T) ** 2)
    assert one == pytest.approx((r - rho * c) / s**2, abs=1e-8)
    assert two == pytest.approx(1 - (rho**2 + r**2 - 2 * rho * r * c) / s**2, abs=1e-8)


@pytest.mark.parametrize(
    ("total", "keep", "degrees", "side"),
    [(4, 0.5, 0, "hard"), (2, 0.5, 0, "easy"), (8, 0.5, 20, "hard"), (3, 0.4, 0, "random")],
)
def test_the_experiment_agrees_with_the_theory(
    total: float, keep: float, degrees: float, side: str
) -> None:
    angle = np.radians(degrees)
    row = simulate(total, keep, angle, side, dimensions=150, repeats=12, rng=1).iloc[0]
    error = perceptron(total, keep, angle, side).error
    # finite dimensions shift the mean by about 1/dimensions
    assert abs(row["error"] - error) < 3.5 * row["standard_error"] + 0.02 * error


def test_crossovers() -> None:
    """scores.md 1.5, kept examples a dimension where keep-hard starts to win."""
    for keep, random, easy in ((0.8, 1.12, 7.73), (0.5, 1.45, 2.52), (0.3, 1.65, 2.16),
                               (0.1, 1.87, 2.01)):  # fmt: skip
        assert crossover(keep) == pytest.approx(random, abs=0.006)
        assert crossover(keep, against="easy") == pytest.approx(easy, abs=0.006)


def test_the_best_share_is_about_the_angle_of_the_probe() -> None:
    shares = np.geomspace(0.05, 1, 25)
    for degrees, best in ((5, 0.10), (10, 0.18), (20, 0.32), (40, 0.56)):
        error = perceptron(8 / shares, shares, np.radians(degrees)).error
        found = shares[np.argmin(error)]
        assert found == pytest.approx(best, rel=0.45)  # the reference grid: steps of 1.8
        assert 0.6 < found / np.radians(degrees) < 1.6


def test_the_map_says_easy_for_few_examples_and_hard_for_many() -> None:
    table = theory_map([0.5, 20], [0.3]).set_index("examples_per_dimension")
    assert table.loc[0.5, "best"] == "easy"
    assert table.loc[20.0, "best"] == "hard"


def test_random_examples_tell_less_and_less_and_the_first_one_bit() -> None:
    """Gardner volume: ln 2 for the first example; 1/alpha for the last (Engel & Van den Broeck)."""
    assert information_gain(1e-4) == pytest.approx(np.log(2), abs=1e-3)
    assert 50 * information_gain(50.0) == pytest.approx(1, abs=0.01)
    assert information_gain(1.0, 0.2) > information_gain(1.0) > information_gain(1.0, 0.2, "easy")


def test_results_have_the_usual_forms(tmp_path: Path) -> None:
    found = perceptron([1, 2, 4], 0.5)
    assert "kept_per_dimension" in found.summary()
    found.save(tmp_path / "theory.json")
    assert sk.load(tmp_path / "theory.json").table.equals(found.table)
    assert isinstance(perceptron(2.0).error, float)
    for picture in ("hard", "easy", "free", "best"):
        assert plot_theory(picture).get_xlabel()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0,), "examples_per_dimension must be positive; got 0"),
        ((1.0, 1.2), "keep must lie above 0 and at most at 1; got 1.2"),
        ((1.0, 0.5, 2.0), "angle is in radians"),
        ((1.0, 0.5, 0.0, "both"), "side must be one of hard, easy, random"),
    ],
)
def test_bad_settings_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        perceptron(*arguments)


def test_bad_comparisons_and_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="against"):
        crossover(0.5, against="hard")
    with pytest.raises(InputError, match="between 0 and 1"):
        crossover(1.0)
    with pytest.raises(InputError, match="no picture 'hrad'"):
        plot_theory("hrad")
    with pytest.raises(InputError, match="two kept examples"):
        simulate(1.0, 0.01, dimensions=20)
