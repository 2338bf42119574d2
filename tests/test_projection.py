"""Projection: from pilots on mixtures to a large mixture, with intervals that hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.selectors.mixtures.projecting.distances import distance_tables
from scalekit.selectors.mixtures.projecting.members import fit_member
from scalekit.selectors.mixtures.projecting.pilots import read_pilots
from scalekit.selectors.mixtures.projecting.published import (
    noise_amplification,
    project_log_samples,
    stage_one_features,
)
from scalekit.selectors.mixtures.projecting.surface import Design, draw_variances, fit_surface
from scalekit.selectors.mixtures.projection import Projection
from scalekit.selectors.simplex import simplex_grid
from scalekit.selectors.transport.samples import as_sample

NAMES = ["web", "code", "books"]


def features(seed: int = 0, n: int = 60) -> tuple[dict, tuple]:
    rng = np.random.default_rng(seed)
    centres = {"web": 0.0, "code": 1.0, "books": 2.5}
    sources = {
        name: (rng.normal(size=(n, 3)) + shift, rng.integers(0, 4, n))
        for name, shift in centres.items()
    }
    return sources, (rng.normal(size=(50, 3)) + 0.4, rng.integers(0, 4, 50))


def truth(mixtures: np.ndarray, samples: np.ndarray) -> np.ndarray:
    height = (
        0.2 + 0.6 * mixtures[:, 1] + 0.9 * mixtures[:, 2] - 0.8 * mixtures[:, 0] * mixtures[:, 1]
    )
    return np.exp(height) * np.asarray(samples) ** -0.2


def runs(seed: int = 0, sizes: tuple = (100, 400), noise: float = 0.01) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    grid = simplex_grid(3, 5)
    mixtures = np.repeat(grid, len(sizes), axis=0)
    samples = np.tile(sizes, len(grid))
    loss = truth(mixtures, samples) * np.exp(noise * rng.normal(size=len(samples)))
    return pd.DataFrame(mixtures, columns=NAMES).assign(samples=samples, loss=loss)


@pytest.fixture(scope="module")
def plan() -> Projection:
    return sk.project(*features(), runs(), draws=400)


def test_a_projection_recovers_a_known_law(plan: Projection) -> None:
    p = np.array([[0.35, 0.35, 0.3], [0.9, 0.05, 0.05]])
    found = plan.predict(p, 1600)
    np.testing.assert_allclose(found.predicted, truth(p, np.array([1600, 1600])), rtol=0.03)
    assert found.domain.eq("outside").all()
    assert found.extrapolation.eq(4).all()


def test_intervals_are_nested_and_grow_with_the_distance_to_the_pilots(plan: Projection) -> None:
    found = plan.predict([0.5, 0.3, 0.2], [100, 200, 1600, 16_000])
    assert (found.obs_lower <= found.ci_lower).all()
    assert (found.ci_lower <= found.predicted).all()
    assert (found.predicted <= found.ci_upper).all()
    assert (found.ci_upper <= found.obs_upper).all()
    width = np.log(found.ci_upper / found.ci_lower)
    assert width[0] < width[2] < width[3]


def test_intervals_cover_within_the_pilots_sizes() -> None:
    """No distances here: the surface alone, over 40 draws of the pilots' noise."""
    p, hits = np.array([[0.3, 0.5, 0.2], [0.1, 0.1, 0.8], [0.55, 0.25, 0.2]]), []
    target = truth(p, np.full(3, 200))
    for seed in range(40):
        pilots = read_pilots(runs(seed, noise=0.03), NAMES)
        member = fit_member("none", None, pilots, 300, np.random.default_rng(seed))
        one = Projection(pilots, (member,), "surface", 0.9, (), Provenance()).predict(p, 200)
        hits.append((one.ci_lower <= target) & (target <= one.ci_upper))
    assert 0.84 <= np.mean(hits) <= 1.0


def test_the_surface_is_least_squares_where_nothing_is_shrunk() -> None:
    rng = np.random.default_rng(0)
    columns, y = np.column_stack([np.ones(30), rng.normal(size=(30, 2))]), rng.normal(size=30)
    design = Design(columns, np.array([-1, -1, -1]))
    found = fit_surface(design, y, np.ones(30), np.arange(30), draw_variances(0, 5, False, rng))
    expected, rss = np.linalg.lstsq(columns, y, rcond=None)[:2]
    np.testing.assert_allclose(found.centre, expected)
    np.testing.assert_allclose(found.rss, rss[0])


def test_the_surface_agrees_with_a_dense_gaussian_model() -> None:
    """Posterior mean and evidence against the covariance form, effects and counts included."""
    rng = np.random.default_rng(1)
    n, which = 24, np.repeat(np.arange(8), 3)
    columns = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    group, count, y = (
        np.array([-1, 0, 0, 1]),
        rng.integers(1, 4, n).astype(float),
        rng.normal(size=n),
    )
    tau, effect = np.array([[2.0, 0.3], [5.0, 7.0]]), np.array([0.5, 3.0])
    found = fit_surface(Design(columns, group), y, count, which, (tau, effect))
    evidence = []
    for row in range(2):
        z = columns[:, 1:]
        k = z @ np.diag(tau[row][group[1:]]) @ z.T + np.diag(1 / count)
        k += effect[row] * (which[:, None] == which)
        inverse, one = np.linalg.inv(k), columns[:, :1]
        fixed = np.linalg.solve(one.T @ inverse @ one, one.T @ inverse @ y)
        residual = y - one @ fixed
        expected = np.r_[fixed, np.diag(tau[row][group[1:]]) @ z.T @ inverse @ residual]
        np.testing.assert_allclose(found.means[row], expected)
        rss = residual @ inverse @ residual
        np.testing.assert_allclose(found.rss[row], rss)
        dets = np.linalg.slogdet(k)[1] + np.linalg.slogdet(one.T @ inverse @ one)[1]
        evidence.append(-0.5 * ((n - 1) * np.log(rss) + dets))
    weights = np.exp(np.array(evidence) - max(evidence))
    np.testing.assert_allclose(found.weight, weights / weights.sum(), rtol=1e-6)


def test_the_best_mixture_has_little_regret_and_gains_over_the_prior(plan: Projection) -> None:
    choice = plan.choose(samples=1600, prior={"web": 0.2, "code": 0.2, "books": 0.6})
    grid = simplex_grid(3, 50)
    best = truth(grid, np.full(len(grid), 1600)).min()
    chosen = truth(np.array([list(choice.mixture.values())]), np.array([1600]))[0]
    assert chosen <= best * 1.01
    assert choice.gain in choice.gain_interval
    assert choice.probability_better > 0.99
    assert choice.regret < choice.prior_regret
    assert all(choice.mixture[k] in choice.share_intervals[k] for k in NAMES)


def test_shares_and_their_intervals_are_written_in_per_cent(plan: Projection) -> None:
    choice = plan.choose(samples=1600)
    (line,) = [line for line in choice.summary().splitlines() if line.startswith("where the best")]
    assert line == "where the best share of each source may lie: " + ", ".join(
        f"{name} {100 * ends.lower:.1f}% to {100 * ends.upper:.1f}%"
        for name, ends in choice.share_intervals.items()
    )


def test_a_choice_among_mixtures_that_all_reach_the_end_of_the_metric_is_told() -> None:
    """The published line in log N goes through the ceiling, for most mixtures at once."""
    table = runs()
    table["accuracy"] = 1 - 0.4 * table.pop("loss")
    found = sk.project(*features(), table, form="projektor", draws=100)
    (note,) = [note for note in found.choose(1e6).notes if note.code == "end-of-metric"]
    assert note.message.startswith("'accuracy' is projected to reach its end, 1, in ")
    assert "end-of-metric" not in codes(found.choose(400).notes)


def test_the_title_of_a_mixture_of_many_sources_is_not_cut_off() -> None:
    names = [f"a source with a long name {i}" for i in range(4)]
    sources = {name: np.random.default_rng(i).normal(size=(20, 2)) for i, name in enumerate(names)}
    grid = simplex_grid(4, 2)
    table = pd.DataFrame(grid, columns=names).assign(samples=100, loss=1 + grid @ np.arange(4))
    table = pd.concat([table, table.assign(samples=400, loss=table.loss / 2)])
    found = sk.project(sources, sources[names[0]], table, distances=[], draws=100)
    lines = found.plot_sizes(np.full(4, 0.25)).get_title(loc="left").split("\n")
    assert len(lines) == 2
    assert max(map(len, lines)) <= 70


def test_caps_hold_and_the_free_optimum_is_told(plan: Projection) -> None:
    choice = plan.choose(samples=1000, caps={"web": 300, "code": 450})
    assert choice.mixture["web"] == pytest.approx(0.3)
    assert choice.mixture["code"] <= 0.45 + 1e-9
    assert "web" in choice.active_caps
    assert choice.unconstrained["web"] > 0.3
    assert "caps reached: web" in choice.summary()
    assert "prior-above-caps" in codes(choice.notes)  # a third of web is more than .3
    assert "prior-above-caps" not in codes(plan.choose(samples=1000, caps={"web": 400}).notes)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"caps": {"wep": 10}}, ColumnNotFoundError, "caps name 'wep'. Did you mean 'web'"),
        ({"caps": {"web": -1}}, InputError, "cap of 'web' is -1"),
        ({"samples": 1000, "caps": dict.fromkeys(NAMES, 200)}, InputError,
         "allow 600 samples together, fewer than the 1000"),
        ({"samples": 0}, InputError, "samples must be at least 1"),
        ({"caps": [300, 400, 500]}, InputError, "caps map a source to .*; got list"),
        ({"prior": [0.5, 0.5, 0.5]}, InputError, "sums to 1.5, not to 1"),
        ({"prior": np.eye(3)}, InputError, "prior is one mixture; got 3"),
        ({"prior": "web"}, InputError, "A mixture is shares by source, .*got 'web'"),
        ({"caps": {"web": 0.4}}, InputError, r"cap of 'web' is 0.4; give the most samples \(not"),
        ({"caps": {"web": "300"}}, InputError, "cap of 'web' is '300'"),
        ({"samples": [1, 2]}, InputError, "samples must be at least 1; got"),
    ],
)  # fmt: skip
def test_choices_that_cannot_be_are_refused(
    plan: Projection, arguments: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        plan.choose(**arguments)


def test_accuracy_is_read_as_error_and_given_back_as_accuracy() -> None:
    table = runs(sizes=(100,))
    table["accuracy"] = 100 * (1 - table.pop("loss") / 2)
    found = sk.project(*features(), table, distances=["w2"], draws=200)
    row = found.predict([1.0, 0.0, 0.0]).iloc[0]
    expected = 100 * (1 - truth(np.eye(3)[:1], np.array([100]))[0] / 2)
    assert row.predicted == pytest.approx(expected, rel=0.02)
    assert row.obs_lower < row.ci_lower < row.predicted < row.ci_upper < row.obs_upper
    with pytest.raises(InputError, match=r"All pilots have 100 samples.*three times as large"):
        found.predict([1.0, 0.0, 0.0], 1000)


def test_smaller_disclosed_samples_leave_wider_intervals() -> None:
    """Partially revealed sources: the distance is known only as well as they are."""
    table, widths = runs(noise=0.003), []
    for n in (15, 400):
        found = sk.project(*features(1, n), table, distances=["w2"], draws=800)
        member = found.members[1]
        drawn = member.distance(np.array([[0.2, 0.3, 0.5]]), np.arange(21))
        assert drawn is not None
        widths.append(drawn[1:].std() / drawn[0, 0])
    assert widths[0] > 1.4 * widths[1]


def codes(notes: tuple[Note, ...]) -> set[str]:
    return {note.code for note in notes}


def test_what_the_user_must_know_is_in_the_notes(plan: Projection) -> None:
    assert {"pilots-read", "noise-amplification", "interval", "no-floor"} <= codes(plan.notes)
    close = sk.project(*features(), runs(sizes=(100, 150)), distances=[], draws=100)
    assert "sizes-too-close" in codes(close.notes)
    few = sk.project(*features(), runs().iloc[:12], distances=[], draws=100)
    assert "few-mixtures" in codes(few.notes)
    assert "far-extrapolation" in codes(plan.choose(samples=1e6).notes)


def test_ranking_by_a_useless_distance_is_refused() -> None:
    """The metric has nothing to do with features here, so W2 alone must not rank."""
    table = runs()
    table["loss"] = np.random.default_rng(1).uniform(1, 2, len(table))
    found = sk.project(*features(), table, distances=["w2"], draws=100)
    assert "distance-alone-useless" in codes(found.notes)
    with pytest.raises(InputError, match=r"Ranking by 'w2' alone is refused.*R\^2 is -"):
        found.rank_by_distance("w2")


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("val_loss", False), ("eval/accuracy", True), ("acc@1", True), ("macro_f1", True),
        ("mape", False), ("answer_accuracy", True), ("cross-entropy", False),
    ],
)  # fmt: skip
def test_a_metric_is_read_by_the_words_of_its_name(name: str, higher: bool) -> None:
    """An "answer" is no word error rate ("wer"), and "mape" no mean average precision ("map")."""
    pilots = read_pilots(runs().rename(columns={"loss": name}).assign(seed=0), NAMES)
    assert (pilots.metric.name, pilots.metric.higher_is_better) == (name, higher)


def test_scores_do_not_depend_on_sizes_that_are_equal_only_nearly() -> None:
    """A few samples more or less, as rounding leaves them, change nothing of note."""
    table = runs()
    near = table.assign(samples=table.samples + np.arange(42) % 7)
    for one, other in zip(
        sk.project(*features(), table, distances=["w2"], draws=100).members,
        sk.project(*features(), near, distances=["w2"], draws=100).members,
        strict=True,
    ):
        assert other.cv_r2 == pytest.approx(one.cv_r2, abs=0.005)
        assert other.alone_r2 == pytest.approx(one.alone_r2, abs=0.05)


def test_a_metric_that_gets_worse_with_size_is_told_and_stays_in_its_range() -> None:
    table = runs()
    table["accuracy"] = 0.9 - 0.2 * table.web - 0.3 * (table.samples > 200)
    found = sk.project(*features(), table.drop(columns="loss"), distances=[], draws=200)
    (note,) = [note for note in found.notes if note.code == "worse-with-size"]
    assert note.message == (
        "'accuracy' gets worse with more samples in 21 of 21 mixtures, and is projected to go on "
        "so. Is higher_is_better right?"
    )
    row = found.predict([1.0, 0.0, 0.0], 1e5)[["ci_lower", "obs_lower", "predicted", "obs_upper"]]
    assert row.min(axis=None) >= 0
    assert row.max(axis=None) <= 1


def test_runs_that_the_published_line_does_not_use_are_told() -> None:
    found = sk.project(*features(), runs(sizes=(100, 200, 400)), form="projektor", draws=100)
    (note,) = [note for note in found.notes if note.code == "runs-between-unused"]
    assert "21 of 63 runs at sizes between are not used" in note.message


def test_without_distances_there_is_none_to_rank_by() -> None:
    found = sk.project(*features(), runs(), distances=[], draws=100)
    with pytest.raises(InputError, match="fitted without distances"):
        found.rank_by_distance()


def test_a_distance_that_is_alike_for_all_mixtures_does_not_rank() -> None:
    """No source has a class of the target: total variation is one everywhere, up to rounding."""
    sources, (x, y) = features()
    found = sk.project(sources, (x, y + 9), runs(), distances=["labels_tv"], draws=100)
    assert found.members[1].alone_r2 == 0
    with pytest.raises(InputError, match=r"R\^2 is 0.00, no better than the mean"):
        found.rank_by_distance()


def test_ranking_by_a_useful_distance_is_allowed(plan: Projection) -> None:
    ranked = plan.rank_by_distance()
    assert ranked.distance.is_monotonic_increasing
    with pytest.raises(InputError, match="No distance 'tv' here"):
        plan.rank_by_distance("tv")


def test_label_distances_are_those_of_the_mixed_shares_and_resampled() -> None:
    sources, target = features(2)
    tables, _ = distance_tables(
        ["labels_tv", "labels_hellinger"],
        {name: as_sample(value, name) for name, value in sources.items()},
        as_sample(target, "target"), np.eye(3), 40, np.random.default_rng(0),
    )  # fmt: skip
    p = np.array([0.2, 0.3, 0.5])
    shares = p @ [np.bincount(y, minlength=4) / len(y) for _, y in sources.values()]
    goal = np.bincount(target[1], minlength=4) / 50
    tv, hellinger = (table.at(p[None]) for table in tables)
    assert tv[0, 0] == pytest.approx(abs(shares - goal).sum() / 2)
    assert hellinger[0, 0] == pytest.approx(1 - np.sqrt(shares * goal).sum())
    assert 0 < hellinger[1:].std() < 1
    assert hellinger[1:].mean() == pytest.approx(hellinger[0, 0])


def test_beyond_the_pilots_the_exponent_may_drift_in_all_mixtures_and_in_each() -> None:
    """With next to no noise, the drift is what is left: 40 % and 20 % of .2 for each e-fold."""
    pilots = read_pilots(runs(noise=1e-4), NAMES)
    member = fit_member("none", None, pilots, 4000, np.random.default_rng(0))
    one = Projection(pilots, (member,), "surface", 0.95, (), Provenance())
    found = one.predict([0.31, 0.29, 0.4], [400, 1600])
    width = np.log(found.ci_upper / found.ci_lower) / (2 * 1.96)
    beyond = np.log(1600 / 400) * np.log(1600 / 100) / 2
    assert width[0] < 0.01
    assert width[1] == pytest.approx(0.2 * np.hypot(0.4, 0.2) * beyond, rel=0.06)


# --- the published stages


def test_the_published_line_in_log_samples() -> None:
    """arXiv 2307.02460, stage 2, and its amplification for 1000, 1500 -> 10000."""
    assert project_log_samples(10_000, 1000, 1500, np.array(0.30), np.array(0.33)) == pytest.approx(
        (np.log(10) * 0.33 - np.log(10_000 / 1500) * 0.30) / np.log(1.5)
    )
    assert noise_amplification(10_000, 1000, 1500) == pytest.approx(7.4, abs=0.05)
    assert noise_amplification(10_000, 1000, 3000) == pytest.approx(2.3, abs=0.1)
    with pytest.raises(InputError, match="two sizes, n0 < n1; got 5 and 5"):
        project_log_samples(10, 5, 5, np.array(1.0), np.array(1.0))


def test_both_published_forms_fit_what_they_can_represent() -> None:
    rng = np.random.default_rng(0)
    p, d = rng.dirichlet(np.ones(3), 40), rng.uniform(1, 2, 40)
    full = stage_one_features(p, d, "projektor")
    notebook = stage_one_features(p, d, "projektor_notebook")
    assert notebook.shape[1] == 8
    assert full.shape[1] == 14
    assert np.linalg.matrix_rank(full) == 12  # shares sum to one, alone and times OT
    target = (1.5 * p[:, 0] ** 2 + p[:, 1]) * d
    assert np.linalg.lstsq(notebook, target, rcond=None)[1][0] < 1e-18
    with pytest.raises(InputError, match="Unknown form 'cs'"):
        stage_one_features(p, d, "cs")


@pytest.mark.parametrize("form", ["projektor", "projektor_notebook"])
def test_the_published_forms_project_with_an_interval(form: str) -> None:
    found = sk.project(*features(), runs(), form=form, draws=300)
    assert [m.name for m in found.members] == ["otdd"]
    row = found.predict([0.4, 0.3, 0.3], 1600).iloc[0]
    at = found.predict([0.4, 0.3, 0.3], [100, 400]).predicted.to_numpy()
    expected = project_log_samples(1600, 100, 400, at[0], at[1])
    assert row.predicted == pytest.approx(float(expected))
    assert row.ci_lower < row.predicted < row.ci_upper


# --- form and bad input


def test_a_projection_saves_and_loads_able_to_predict(plan: Projection, tmp_path: Path) -> None:
    again = sk.load(plan.save(tmp_path / "plan.json"))
    assert isinstance(again, Projection)
    p = [0.25, 0.5, 0.25]
    pd.testing.assert_frame_equal(again.predict(p, 1600), plan.predict(p, 1600))
    choice = plan.choose(1600)
    assert again.choose(1600).mixture == choice.mixture
    assert sk.load(choice.save(tmp_path / "c.json")).to_dict() == choice.to_dict()


def test_results_read_as_all_results_do(plan: Projection) -> None:
    frame, choice = plan.to_frame(), plan.choose(1600)
    assert len(frame) == 42
    assert {"observed", "predicted", "ci_lower", "obs_upper"} <= set(frame)
    assert "best pilot mixture" in plan.summary()
    assert choice.to_frame().share.sum() == pytest.approx(1)
    for axes in (plan.plot(), plan.plot_sizes([0.2, 0.4, 0.4]), choice.plot()):
        assert axes.get_xlabel()


def test_the_same_seed_repeats() -> None:
    def once(seed: int) -> pd.DataFrame:
        found = sk.project(*features(), runs(), distances=["w2"], draws=100, rng=seed)
        return found.predict([0.2, 0.4, 0.4], 1600)

    pd.testing.assert_frame_equal(once(3), once(3))
    assert not once(3).equals(once(4))


def changed(**columns: object) -> pd.DataFrame:
    return runs().assign(**columns)


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (runs().drop(columns="code"), {"metric": "loss"}, "no column 'code'. "),
        (runs().drop(columns="samples"), {}, "no column 'samples'"),
        (runs().drop(columns="loss"), {}, r"Which column of the pilots is the metric\?"),
        (runs(), {"metric": "los"}, "no column 'los'. Did you mean 'loss'"),
        (runs().rename(columns={"loss": "q"}), {"metric": "q"}, "Is a higher 'q' better"),
        (
            runs().rename(columns={"loss": "brier_score"}),
            {"metric": "brier_score"},
            r"Is a higher 'brier_score' better\?.*--lower-is-better",
        ),
        (
            runs().assign(web=runs().web * 100, code=runs().code * 100, books=runs().books * 100),
            {},
            r"Pilots .*sums to 100, not to 1.*is a source missing, or are they per cent\?",
        ),
        (changed(loss=-1.0), {}, r"row 0: 'loss' is -1, so no error is left .*\(42 such rows\)"),
        (runs(), {"form": "projektor", "distances": []}, "takes one distance; got \\[\\]"),
        (
            runs(),
            {"form": "projektor", "distances": ["w2", "sliced"]},
            r"takes one distance; got \['w2', 'sliced'\]",
        ),
        (changed(loss=0.0), {}, "row 0: 'loss' is 0, so no error is left"),
        (changed(loss="x"), {}, "row 0, column 'loss': 'x' is not a finite number"),
        (changed(loss=np.nan), {}, r"column 'loss': nan is not a finite number \(42 such rows\)"),
        (changed(web=0.9, code=0.9), {}, "sums to .*not to 1"),
        (changed(samples=0), {}, "row 0: 'samples' is 0; a training set has"),
        (changed(accuracy=120.0).drop(columns="loss"), {}, "expected shares .0 to 1. or per cent"),
        (runs().iloc[:3], {}, "Only 3 pilot runs"),
        (
            runs().iloc[[0, *range(1, 42, 2)]],
            {},
            "All but 1 of 21 pilot mixtures were run at 400 samples only.*three or more mixtures",
        ),
        (runs(), {"form": "cs"}, "Unknown form 'cs'"),
        (runs(), {"distances": ["w3"]}, "Unknown distance 'w3'. Did you mean 'w2'"),
        (runs().iloc[[0, 1] * 3], {}, r"1 distinct mixture\(s\); a projection .* needs 3"),
        (changed(loss=1.5), {}, "'loss' is 1.5 in all pilots, so neither"),
        (runs(), {"metric": "samples"}, "'samples' of the pilots would be read twice"),
        (runs(), {"metric": "web"}, "'web' of the pilots would be read twice"),
        (runs(), {"draws": 3}, "draws must be at least 40 for an interval; got 3"),
        (runs().iloc[:8], {"form": "projektor"}, r"at 100 samples \(4\): no error is left"),
        (runs(), {"confidence_level": 0}, r"confidence_level \(--level\) must lie between 0 and 1"),
    ],
)
def test_bad_pilots_and_arguments_are_refused(
    table: pd.DataFrame, arguments: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sk.project(*features(), table, **arguments)


def test_pilots_and_features_may_be_files(tmp_path: Path) -> None:
    """Three sources in three formats, without labels since .npy has none, and one distance."""
    sources, (x, _) = features()
    points = {k: pd.DataFrame(v, columns=list("abc")) for k, (v, _) in sources.items()}
    np.save(tmp_path / "web.npy", points["web"])
    points["code"].to_csv(tmp_path / "code.csv", index=False)
    points["books"].to_parquet(tmp_path / "books.parquet")
    runs().to_csv(tmp_path / "pilots.csv", index=False)
    files = {"web": tmp_path / "web.npy", "code": tmp_path / "code.csv"}
    files["books"] = tmp_path / "books.parquet"
    again = sk.project(files, x, tmp_path / "pilots.csv", distances="w2", draws=100)
    same = sk.project(points, x, runs(), distances="w2", draws=100)
    pd.testing.assert_frame_equal(
        again.predict([0.2, 0.4, 0.4], 800), same.predict([0.2, 0.4, 0.4], 800)
    )
    assert (again.provenance.source, same.provenance.source) == ("pilots.csv", "pilots")
    with pytest.raises(InputError, match=r"There is no pilot file nowhere\.csv"):
        sk.project(points, x, "nowhere.csv")


def test_labels_on_one_side_only_are_refused() -> None:
    sources, (x, _) = features()
    with pytest.raises(InputError, match="labels on both sides; 'validation' has none"):
        sk.project(sources, x, runs())
    bare = {name: points for name, (points, _) in sources.items()}
    with pytest.raises(InputError, match="'otdd' needs labels on both sides"):
        sk.project(bare, x, runs(), distances=["otdd"])
