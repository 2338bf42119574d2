"""One call for a distance: it chooses, says so, bounds itself, and refuses what cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import ot
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import InputError
from scalekit.selectors.transport import budget, measure
from scalekit.selectors.transport.budget import estimate_cost

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(120, 4)), RNG.normal(size=(100, 4)) + 1
LABELS_X, LABELS_Y = RNG.integers(0, 3, 120), RNG.integers(0, 3, 100)
EXACT = ot.emd2([], [], ot.dist(X, Y))


@pytest.mark.parametrize("method", ["exact", "entropic"])
def test_both_transport_methods_reach_the_optimum_with_bounds_around_it(method: str) -> None:
    found = sk.distance(X, Y, method)
    assert found.value == pytest.approx(EXACT, rel=1e-4)
    assert found.lower <= EXACT * (1 + 1e-5)
    assert found.upper >= EXACT * (1 - 1e-5)
    assert found.root == pytest.approx(np.sqrt(EXACT), rel=1e-4)


def test_labels_make_the_distance_larger() -> None:
    found = sk.distance((X, LABELS_X), (Y, LABELS_Y), cost="labels")
    assert found.value > EXACT


@pytest.mark.parametrize(
    ("size", "method"), [(4000, "exact"), (9000, "entropic"), (10**6, "sliced")]
)
def test_the_method_follows_the_size(size: int, method: str) -> None:
    plan = estimate_cost(size, size, 16)
    assert plan.method == method
    assert f"{size:,} against" in plan.reason


def test_what_takes_long_is_announced_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "TELL_ABOVE_SECONDS", 0.0)
    found = sk.distance(X, Y)
    told = capsys.readouterr().err
    assert "exact transport (chosen for 120 against 100 points)" in told
    assert "of one CPU core and" in told
    assert any(note.code == "method" for note in found.notes)


def test_what_does_not_fit_in_memory_is_refused_with_a_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget, "available_memory", lambda: 1e9)
    with pytest.raises(InputError, match=r"needs 4.0 GB; 1.0 GB are free. Use the sliced.*3,500"):
        budget.check_memory("exact", 10_000, 10_000, 64)
    budget.check_memory("exact", 3_500, 3_500, 64)  # the advice fits
    monkeypatch.setattr(budget, "available_memory", lambda: 2e9)
    with pytest.raises(InputError, match="Use the entropic method, or the sliced distance, or a"):
        budget.check_memory("exact", 10_000, 10_000, 64)
    with pytest.raises(InputError, match=r"Use a random subsample of at most 5,000,000 points"):
        budget.check_memory("sliced", 10**9, 10**9, 25)


def test_labels_count_in_the_entropic_method_too_and_need_no_copy_of_the_cost() -> None:
    rng = np.random.default_rng(4)
    left, right = (X, rng.integers(0, 3, len(X))), (Y, rng.integers(0, 3, len(Y)))
    exact = sk.distance(left, right, "exact", "labels")
    found = sk.distance(left, right, "entropic", "labels")
    assert found.value == pytest.approx(exact.value, rel=1e-5)


def test_classes_of_one_side_and_a_device_without_use_are_told() -> None:
    labels = np.arange(len(X)) % 3
    found = sk.distance((X, labels), (X, labels % 2), cost="labels", device="cuda")
    told = {note.code: note.message for note in found.notes}
    assert "Only one side has points of class 2" in told["empty-class"]
    assert "exact method computes on the CPU; 'cuda' was not used" in told["device-unused"]


def test_a_feature_that_drowns_the_others_is_told() -> None:
    wide = pd.DataFrame(X * [1, 1000, 1, 1], columns=["age", "income", "size", "rooms"])
    (note,) = [n for n in sk.distance(wide, wide + 1).notes if n.code == "dominant-feature"]
    assert note.message == (
        "Feature 'income' has 100.0% of the variance of all 4, so the distance hardly sees the "
        "others. Features are taken as they are: scale them alike, unless this is meant."
    )
    assert "dominant-feature" not in [n.code for n in sk.distance(X, X + 100).notes]


def test_classes_that_some_of_their_points_stand_for_are_told() -> None:
    many = np.random.default_rng(0).normal(size=(310, 2))
    one = (many, np.zeros(310, dtype=int))
    assert "classes-drawn" in [n.code for n in sk.distance(one, one, cost="labels").notes]
    assert "classes-drawn" not in [n.code for n in sk.distance(one, one).notes]


def test_bounds_that_float32_leaves_open_are_told() -> None:
    """Two clusters at 1e5: the distances within them are at the end of float32's digits."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 4)), rng.normal(size=(400, 4))
    x[:200] += 1e5
    y[:200] += 1e5
    found = sk.distance(x, y, "entropic")
    (note,) = [n for n in found.notes if n.code == "gap-open"]
    assert f"{(found.value - found.lower) / found.value:.1%} apart" in note.message
    assert found.lower <= sk.distance(x, y).value <= found.upper * (1 + 1e-3)


def test_intervals_cover_the_mean_distance_at_these_sizes() -> None:
    def draw(seed: int) -> measure.Distance:
        rng = np.random.default_rng(seed)
        return sk.distance(rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) * 1.3 + 1, rng=0)

    found = [draw(seed) for seed in range(120)]
    mean = np.mean([one.value for one in found])
    covered = np.mean([mean in one.interval for one in found])
    assert 0.88 <= covered <= 1.0


def test_a_result_saves_and_loads_and_reads_as_all_results_do(tmp_path: Path) -> None:
    found = sk.distance(X, Y)
    again = sk.load(found.save(tmp_path / "d.json"))
    assert again.to_dict() == found.to_dict()
    assert found.to_frame().value[0] == found.value
    assert "a to b: transport cost" in found.summary()
    assert found.plot().get_xlabel().startswith("transport cost")
    assert "<table" in found._repr_html_()


def test_identical_samples_are_at_distance_zero_and_told() -> None:
    found = sk.distance(X, X)
    assert found.value == pytest.approx(0, abs=1e-12)
    assert [note.code for note in found.notes][-1] == "identical-samples"


def test_weights_count() -> None:
    weights = np.r_[np.ones(60), np.zeros(60)]
    assert sk.distance(X, Y, a_weights=weights).value == pytest.approx(sk.distance(X[:60], Y).value)


def test_importing_the_room_loads_nothing_heavy() -> None:
    program = (
        "import sys, scalekit.selectors.transport, scalekit.selectors.mixtures\n"
        "print(set(sys.modules) & {'torch', 'ot', 'sklearn', 'matplotlib'} or 'light')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "light", done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "entropic", "device": "nowhere"}, "Cannot compute on device 'nowhere'.*'cpu'"),
        ({"method": "exakt"}, "Unknown method 'exakt'. Did you mean 'exact'"),
        ({"cost": "label"}, "Unknown cost 'label'. Use 'features' or 'labels'"),
        ({"cost": "labels"}, "labels on both sides; 'a' has none"),
        ({"cost": "labels", "method": "sliced"}, "sliced distance knows no labels"),
        (
            {"confidence_level": 95},
            r"confidence_level \(--level\) must lie between 0 and 1, such as 0.95; got 95",
        ),
        ({"a_weights": np.zeros(120)}, "'a' has zero mass"),
        ({"method": "sliced", "a_weights": np.ones(120)}, "samples without weights"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.distance(X, Y, **arguments)
