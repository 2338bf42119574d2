"""The choice of a mixture: the optimum is the optimum, limits hold, and doubts are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.selectors.mixtures import (
    MixtureFit,
    effective_share,
    extrapolate_amounts,
    fit_mixture,
    mixture_between_components,
    plot_ternary,
)
from scalekit.selectors.mixtures.limits import make_limits
from scalekit.selectors.mixtures.optimum import descend, minimise_convex, sample_mixtures, search
from scalekit.selectors.mixtures.terms import Point
from tests.test_mixture_laws import SOURCES, additive_loss, pilots

AVAILABLE = {"web": 1e12, "code": 5e10, "books": 2e9}


@pytest.fixture(scope="module")
def fit() -> MixtureFit:
    return fit_mixture(pilots(40), draws=60)


# --- the optimum


def bowl(centre: np.ndarray):  # type: ignore[no-untyped-def]
    def function(shares: np.ndarray) -> Point:
        gap = shares - centre
        batch, count = shares.shape
        return Point((gap**2).sum(axis=1), 2 * gap, np.tile(2 * np.eye(count), (batch, 1, 1)))

    return function


@given(st.integers(0, 10_000))
@example(517)  # a negligible share, removed, once pushed a group over its cap
@settings(max_examples=40, deadline=None)
def test_the_interior_point_method_agrees_with_scipy(seed: int) -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    centre, names = rng.normal(0.3, 0.5, 5), [f"s{k}" for k in range(5)]
    limits = make_limits(names, caps={"s0": 0.4, "g": 0.7}, minimum={"s1": 0.1},
                         groups={"g": ["s2", "s3"]})  # fmt: skip
    found = minimise_convex(bowl(centre), limits, 1)
    peer = minimize(
        lambda h: ((h - centre) ** 2).sum(), limits.inside, method="SLSQP",
        constraints=[{"type": "ineq", "fun": limits.slack},
                     {"type": "eq", "fun": lambda h: h.sum() - 1}],
        options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    assert ((found.shares[0] - centre) ** 2).sum() <= peer.fun + 1e-6
    assert (limits.slack(found.shares) > -1e-7).all()
    assert found.shares.sum() == pytest.approx(1)


def test_the_price_of_a_limit_is_what_giving_way_saves() -> None:
    centre = np.array([0.9, 0.05, 0.05])
    names = ["a", "b", "c"]
    at = [minimise_convex(bowl(centre), make_limits(names, caps={"a": cap}), 1)
          for cap in (0.5, 0.501)]  # fmt: skip
    saved = [float(((o.shares[0] - centre) ** 2).sum()) for o in at]
    limits = make_limits(names, caps={"a": 0.5})
    price = at[0].prices[0][limits.labels.index(("a", "cap"))]
    assert price == pytest.approx((saved[0] - saved[1]) / 0.001, rel=0.01)


def test_no_sampled_mixture_beats_the_choice(fit: MixtureFit) -> None:
    limits = {"caps": {"web": 0.5, "rest": 0.6}, "groups": {"rest": ["code", "books"]}}
    chosen = fit.choose(**limits)
    shares = np.array([[chosen.shares[name] for name in fit.sources]])
    others = sample_mixtures(make_limits(fit.sources, **limits), 5000, np.random.default_rng(0))
    best = fit.value(shares, {})[0, 0]
    assert best <= fit.value(others, {})[0].min() + 1e-9
    assert chosen.gap < 1e-6


def test_sampled_mixtures_keep_all_limits_and_reach_the_edges() -> None:
    limits = make_limits(SOURCES, caps={"web": 0.5}, minimum={"books": 0.1})
    found = sample_mixtures(limits, 2000, np.random.default_rng(0))
    assert (limits.slack(found) > -1e-9).all()
    assert found[:, 0].max() == pytest.approx(0.5)
    assert found[:, 2].min() == pytest.approx(0.1)


def test_the_search_finds_the_optimum_of_a_convex_function_too() -> None:
    centre, limits = np.array([0.2, 0.5, 0.3]), make_limits(SOURCES, caps={"code": 0.4})
    candidates = sample_mixtures(limits, 500, np.random.default_rng(0))
    found = search(lambda h: ((h - centre) ** 2).sum(axis=1), limits, candidates)
    sure = minimise_convex(bowl(centre), limits, 1)
    np.testing.assert_allclose(found.shares, sure.shares, atol=2e-3)


def test_descent_finds_the_nearby_minimum_of_a_function_that_is_not_convex() -> None:
    """x0**4 - x0**2 / 2 + the rest squared: minima at .5; flat curvature at the start."""

    def double(shares: np.ndarray) -> Point:
        first = shares[:, 0] - 0.4
        value = 40 * first**4 - 0.5 * first**2 + (shares[:, 1] - 0.2) ** 2
        gradient = np.zeros_like(shares)
        gradient[:, 0], gradient[:, 1] = 160 * first**3 - first, 2 * (shares[:, 1] - 0.2)
        hessian = np.zeros((len(shares), 3, 3))
        hessian[:, 0, 0], hessian[:, 1, 1] = 480 * first**2 - 1, 2.0
        return Point(value, gradient, hessian)

    starts = np.array([[0.35, 0.3, 0.35], [0.45, 0.3, 0.25]])
    found = descend(double, make_limits(SOURCES), starts)
    away = np.sqrt(1 / 160)
    np.testing.assert_allclose(found.shares[:, 0], [0.4 - away, 0.4 + away], atol=1e-4)
    np.testing.assert_allclose(found.shares[:, 1], 0.2, atol=1e-4)
    assert np.isinf(found.gap)


def test_the_pull_of_the_prior_grows_until_it_is_the_prior(fit: MixtureFit) -> None:
    prior = {"web": 0.2, "code": 0.2, "books": 0.6}
    far = [abs(fit.choose(prior=prior, kl=kl).shares["books"] - 0.6) for kl in (0.0, 0.1, 1000.0)]
    assert far[0] > far[1] > far[2]
    assert far[2] < 1e-3


# --- limits and what is told about them


def test_epochs_cap_a_source_and_the_choice_tells_them(fit: MixtureFit) -> None:
    chosen = fit.choose(available=AVAILABLE, budget=1e11, max_epochs=4)
    books = chosen.table.set_index("source").loc["books"]
    assert books["share"] <= 4 * 2e9 / 1e11 + 1e-9
    assert books["epochs"] == pytest.approx(books["share"] * 1e11 / 2e9)
    assert books["natural"] == pytest.approx(2e9 / 1.052e12)
    assert chosen.baseline == "data in proportion"
    assert (chosen.table["unlimited"] - fit.choose().table["share"]).abs().max() < 1e-4


def test_counts_and_budget_are_written_as_people_write_them(
    fit: MixtureFit, tmp_path: Path
) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("Source,Tokens\n books ,2B\nweb,1T\ncode,50B\n")
    read = fit.choose(available=path, budget="100B", max_epochs=4)
    same = fit.choose(available=AVAILABLE, budget=1e11, max_epochs=4)
    assert read.shares == same.shares


def test_a_source_without_data_is_told_as_degenerate(fit: MixtureFit) -> None:
    chosen = fit.choose(available=AVAILABLE, budget=1e12)
    degenerate = [note.message for note in chosen.notes if note.code == "degenerate"]
    assert any("'code', which has 4.8% of the data" in message for message in degenerate)
    assert any(note.code == "no_counts" for note in fit.choose().notes)


@pytest.mark.parametrize("limits", [{}, {"budget": 1e11, "max_epochs": 4}])
def test_nothing_is_drawn_from_a_source_of_which_there_is_nothing(
    fit: MixtureFit, limits: dict[str, float]
) -> None:
    chosen = fit.choose(available=AVAILABLE | {"books": 0}, **limits)
    assert chosen.shares["books"] == 0
    told = [note.message for note in chosen.notes if note.code == "no_data"]
    assert told == ["There is nothing of 'books' (available says 0), so that its share is zero."]


def test_the_order_of_names_changes_nothing() -> None:
    def turned(values: dict[str, float]) -> dict[str, float]:
        return dict(reversed(values.items()))

    table = pilots(30)
    prior, caps = {"web": 0.6, "code": 0.3, "books": 0.1}, {"web": 0.35, "code": 0.6}
    ways = [(table, AVAILABLE, prior, caps)]
    ways += [(table[list(reversed(table.columns))], *map(turned, (AVAILABLE, prior, caps)))]
    shares = [
        fit_mixture(rows, draws=5).choose(available=counts, budget=1e11, max_epochs=4, prior=pull,
                                          kl=0.05, caps=limits).shares
        for rows, counts, pull, limits in ways
    ]  # fmt: skip
    assert shares[1] == pytest.approx(shares[0], abs=1e-5)


def test_repeated_data_is_worth_less(fit: MixtureFit) -> None:
    scarce = {"available": AVAILABLE, "budget": 1e12}
    plain, valued = fit.choose(**scarce), fit.choose(**scarce, repeat_value=15.387756)
    assert valued.shares["code"] < plain.shares["code"]
    assert valued.shares["books"] <= plain.shares["books"]


def test_effective_share_is_smooth_and_concave() -> None:
    unique = np.full(200, 0.1)
    shares = np.linspace(0.001, 1, 200)
    worth, slope, _ = effective_share(shares, unique)
    assert (worth <= shares + 1e-12).all()
    assert (np.diff(slope) <= 1e-12).all()
    np.testing.assert_allclose(np.gradient(worth, shares)[1:-1], slope[1:-1], atol=2e-3)


def test_prices_name_the_limits_that_bind(fit: MixtureFit) -> None:
    chosen = fit.choose(caps={"web": 0.3, "pair": 0.8}, groups={"pair": ["web", "code"]})
    assert ("web", "cap") in set(zip(chosen.prices["limit"], chosen.prices["kind"], strict=True))
    assert (chosen.prices["price"] >= 0).all()
    assert "cap" in chosen.table.set_index("source").loc["web", "binding"]


def test_limits_that_fix_the_mixture_are_met(fit: MixtureFit) -> None:
    chosen = fit.choose(caps={"web": 0.5, "code": 0.3, "books": 0.2})
    assert [round(s, 6) for s in chosen.shares.values()] == [0.5, 0.3, 0.2]
    none = fit.choose(caps={"books": 0.0})
    assert none.shares["books"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"caps": {"wbe": 0.5}}, r"no source or group 'wbe'\. Did you mean 'web'"),
        ({"caps": {"web": 50}}, r"share of 'web' is 50; it must lie between 0 and 1"),
        ({"caps": {"web": 0.3, "code": 0.3, "books": 0.3}}, r"caps sum to 0.9, less than 1"),
        ({"minimum": {"web": 0.7, "code": 0.7}}, r"minimum shares sum to 1.4"),
        ({"caps": {"web": 0.1}, "minimum": {"web": 0.2}}, r"'web' needs a share of 0.2"),
        ({"groups": {"g": ["web", "code"]}, "caps": {"g": 0.1}, "minimum": {"web": 0.2}},
         r"clash by .*g \(cap\)"),
        ({"groups": {"web": ["code"]}}, r"group 'web' has the name of a source"),
        ({"groups": {"g": ["wbe"]}}, r"the group 'g': there is no source 'wbe'"),
        ({"max_epochs": 4}, r"give available \(--counts.* and budget"),
        ({"available": {"web": 1e9}, "budget": 1e9, "max_epochs": 1}, r"lacks the source 'code'"),
        ({"available": AVAILABLE | {"wbe": 1}, "budget": 1}, r"no source 'wbe'"),
        ({"available": AVAILABLE | {"web": -1}}, r"count of 'web' is -1"),
        ({"available": dict.fromkeys(SOURCES, 0)}, r"every count is 0\. Give the tokens"),
        ({"available": AVAILABLE | {"wbe": 0}}, r"\(--counts\): there is no source 'wbe'"),
        ({"available": AVAILABLE, "budget": 1e13, "max_epochs": 4},
         r"4 epochs of everything are 4.21T: lower the budget"),
        ({"available": AVAILABLE, "budget": -1, "max_epochs": 4}, r"must be positive"),
        ({"prior": {"web": 1.0}}, r"prior lacks the source 'code'"),
        ({"prior": {"web": 0.5, "code": 0.2, "books": 0.1}}, r"they sum to 0.8"),
        ({"kl": -1}, r"kl is -1"),
        ({"repeat_value": 15}, r"repeat_value needs available .* and budget"),
        ({"at": {"params": 1e9}}, r"no scale 'params'"),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_met_are_refused(
    fit: MixtureFit, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit.choose(**options)


def test_repeats_need_a_law_of_amounts() -> None:
    fit = fit_mixture(pilots(30), law="loglinear", draws=5)
    with pytest.raises(InputError, match=r"needs a law of amounts"):
        fit.choose(available=AVAILABLE, budget=1e12, repeat_value=15)


def test_a_law_that_is_not_convex_is_searched_and_told() -> None:
    chosen = fit_mixture(pilots(40), law="quadratic", folds=5, draws=5).choose(caps={"web": 0.4})
    assert chosen.shares["web"] <= 0.4 + 1e-9
    assert any(note.code == "not_convex" for note in chosen.notes)
    assert np.isinf(chosen.gap)


# --- how sure it is


def test_intervals_of_the_mixture_narrow_with_more_pilots() -> None:
    widths = []
    for rows in (12, 120):
        table = fit_mixture(pilots(rows, 0.02), targets="loss_web", draws=60).choose().table
        widths.append((table["ci_upper"] - table["ci_lower"]).mean())
    assert widths[1] < 0.6 * widths[0]


def test_expected_regret_is_zero_or_more_and_falls_with_noise() -> None:
    regrets = [
        fit_mixture(pilots(20, noise), targets="loss_web", draws=60).choose().regret
        for noise in (0.05, 0.001)
    ]
    assert regrets[0] > regrets[1] >= 0


def test_the_next_pilot_goes_where_it_tells_most() -> None:
    table = pilots(30)
    table = table[table["share_code"] < 0.3].reset_index(drop=True)
    plan = fit_mixture(table, targets="loss_web", draws=60).next_pilot(2)
    asked = plan.table
    assert list(asked.columns) == [*SOURCES, "expected_gain", "deviation"]
    np.testing.assert_allclose(asked[list(SOURCES)].sum(axis=1), 1)
    assert (asked[list(SOURCES)].to_numpy() * 1000 % 1).round(6).max() in (0, 1)  # three decimals
    assert (asked["expected_gain"] >= 0).all()
    assert 0 < asked["expected_gain"].sum() <= plan.regret
    assert plan.mixtures[0] == pytest.approx(asked.iloc[0][list(SOURCES)].to_dict())
    assert "no_limits" in [note.code for note in plan.notes]
    with pytest.raises(InputError, match=r"count is 0"):
        fit_mixture(table, draws=3).next_pilot(0)


def test_the_pilot_asked_for_lowers_the_regret_more_than_a_repeated_one() -> None:
    """Few pilots, run again with what is asked for or with the first pilot repeated."""
    asked, repeated = [], []
    for seed in range(4):
        table = pilots(8, 0.01, seed)
        fit = fit_mixture(table, targets="loss_web", draws=60, rng=seed)
        mixtures = np.array([list(mixture.values()) for mixture in fit.next_pilot(4).mixtures])
        first = table.to_numpy()[[0] * 4, :3]
        for rows, regrets in (
            (np.array(mixtures), asked),
            (first, repeated),
        ):
            new = pd.DataFrame(rows, columns=table.columns[:3])
            new["loss_web"] = additive_loss(rows, 0.01, seed + 50)
            more = pd.concat([table, new], ignore_index=True)
            best = fit_mixture(more, targets="loss_web", draws=5).choose()
            regrets.append(additive_loss(np.array([list(best.shares.values())]))[0])
    assert np.mean(asked) < np.mean(repeated)


def test_pilots_serve_the_choice_that_is_asked_for(fit: MixtureFit) -> None:
    limits = {"available": AVAILABLE, "budget": "100B", "max_epochs": 4}
    plan = fit.next_pilot(2, **limits)
    assert (plan.table["books"] <= 0.081).all()
    assert "no_limits" not in [note.code for note in plan.notes]
    near = fit.next_pilot(1, prior={"web": 0.2, "code": 0.2, "books": 0.6}, kl=1000.0)
    assert near.regret < 1e-3 * plan.regret + 1e-6


def test_a_pilot_plan_is_saved_loaded_and_drawn(fit: MixtureFit, tmp_path: Path) -> None:
    plan = fit.next_pilot(3)
    loaded = sk.load(plan.save(tmp_path / "next.json"))
    assert loaded.to_dict() == plan.to_dict()
    assert loaded.summary() == plan.summary()
    assert len(plan.plot().patches) == 3 * len(SOURCES)


def test_a_choice_is_saved_and_loaded(fit: MixtureFit, tmp_path: Path) -> None:
    for counts in (AVAILABLE, AVAILABLE | {"books": 0}):
        chosen = fit.choose(available=counts, budget=1e11, max_epochs=4)
        loaded = sk.load(chosen.save(tmp_path / "mixture.json"))
        assert loaded.to_dict() == chosen.to_dict()
        assert loaded.summary() == chosen.summary()


def test_plots_draw_what_they_say(fit: MixtureFit) -> None:
    chosen = fit.choose(caps={"web": 0.4})
    assert len(chosen.plot().patches) == 3
    assert plot_ternary(fit, chosen).collections
    assert fit.plot().get_ylabel() == "observed loss"
    with pytest.raises(InputError, match=r"three sources"):
        plot_ternary(fit, sources=["web", "code"])
    with pytest.raises(InputError, match=r"no target 'x'"):
        plot_ternary(fit, target="x")


# --- across scales


def test_best_amounts_are_geometric_in_the_budget(shared: Path) -> None:
    """AutoScale's notebook: 0.6B from 0.3B and 1.2B (before scaling to the sum)."""
    notebook = [0.13665, 0.01714, 0.10554, 0.11268, 0.14190, 0.05573, 0.02646]
    table = pd.read_csv(shared / "autoscale" / "ddo_optimal_quantities.csv").set_index("domain")
    known = {0.3: table["n_opt_0.3B"].to_dict(), 1.2: table["n_opt_1.2B"].to_dict()}
    found = np.array(list(extrapolate_amounts(known, 0.6).values()))
    np.testing.assert_allclose(found, 0.6 * np.array(notebook) / sum(notebook), atol=2e-5)


@pytest.mark.parametrize(
    ("amounts", "budget", "message"),
    [
        ({1: {"a": 1}}, 2, r"two budgets or more"),
        ({1: {"a": 1}, 2: {"a": 2}}, -1, r"Budgets must be positive"),
        ({1: {"a": 1, "b": 0}, 2: {"a": 1, "b": 1}}, 4, r"Amounts must be positive"),
        ({1: {"a": 1, "b": 1}, 2: {"a": 1, "c": 1}}, 4, r"the amounts at 2: there is no source"),
    ],
)
def test_amounts_that_tell_nothing_are_refused(
    amounts: dict[float, dict[str, float]], budget: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        extrapolate_amounts(amounts, budget)


# --- dilution


def test_dilution_tells_mixing_from_diluting() -> None:
    shares = np.random.default_rng(0).dirichlet([0.7, 0.7], size=40)
    table = pd.DataFrame(shares, columns=["share_a", "share_b"])
    table["loss_both"] = 1 + 1 / (0.2 + shares[:, 0] ** 0.5 + shares[:, 1] ** 0.5)
    table["loss_a"] = 1 + 1 / (0.2 + shares[:, 0])
    found = fit_mixture(table, draws=60).dilution().set_index("target")
    assert found.loc["both", "verdict"] == "mix"
    assert found.loc["both", "best_share"] == pytest.approx(0.5, abs=0.05)
    assert found.loc["both", "gain"] > 0.1
    assert found.loc["a", "best_share"] == 1.0
    assert found.loc["a", "gain"] == pytest.approx(0, abs=1e-3)


def robustness(effect: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for name, lift in (("a", -0.5), ("b", 0.5), ("a+b", effect)):
        x = rng.normal(0, 1, 12)
        y = 0.8 * x + lift + rng.normal(0, 0.05, 12)
        accuracy = 1 / (1 + np.exp(-np.stack([x, y])))
        rows += [{"source": name, "accuracy_id": u, "accuracy_ood": v} for u, v in accuracy.T]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("effect", "between"), [(0.0, True), (1.0, False), (0.5, None)])
def test_a_mixture_lies_between_its_components_or_not(effect: float, between: bool | None) -> None:
    table = mixture_between_components(robustness(effect), "a+b", ["a", "b"])
    assert table["between"].iloc[-1] is between
    probit = mixture_between_components(robustness(effect), "a+b", ["a", "b"], link="probit")
    assert len(probit) == 3


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t, {"mixture": "c"}, r"no runs of the source 'c'"),
        (lambda t: t.assign(accuracy_ood=1.0), {}, r"strictly between 0 and 1"),
        (lambda t: t, {"link": "log"}, r"link is 'log'"),
        (lambda t: t.groupby("source").head(1), {}, r"degree\(s\) of freedom"),
        (lambda t: t.assign(accuracy_id=0.5), {}, r"slope is unknown"),
    ],
)
def test_robustness_refuses_what_it_cannot_use(
    change: object, options: dict[str, object], message: str
) -> None:
    asked = {"mixture": "a+b", "components": ["a", "b"]} | options
    with pytest.raises((InputError, ColumnNotFoundError), match=message):
        mixture_between_components(change(robustness(0.0)), **asked)  # type: ignore[operator,arg-type]
