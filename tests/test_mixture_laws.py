"""Mixing laws: what a law recovers, what it refuses, and what it says about its own error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalekit as sk
from scalekit.errors import ColumnNotFoundError, InputError, MissingDependencyError
from scalekit.selectors.mixtures import fit_mixture, mixing_laws, plot_ternary
from scalekit.selectors.mixtures.catalogue import LAWS, mixing_law, term_sum
from scalekit.selectors.mixtures.crossval import train_law
from scalekit.selectors.mixtures.pilots import read_pilots
from scalekit.selectors.mixtures.reaches import rounding_effect

SOURCES = ("web", "code", "books")
FORMULA_LAWS = [name for name, law in LAWS.items() if law.build is not None]


def additive_loss(shares: np.ndarray, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """E = 2, c = 0.4, C = (1.2, 0.2, 0.5), gamma = (0.5, 0.4, 0.7)."""
    amounts = [1.2, 0.2, 0.5] * shares ** [0.5, 0.4, 0.7]
    made = 2 + 1 / (0.4 + amounts.sum(axis=-1))
    return made + noise * np.random.default_rng(seed).standard_normal(len(shares))


def pilots(rows: int = 30, noise: float = 0.003, seed: int = 0) -> pd.DataFrame:
    shares = np.random.default_rng(seed).dirichlet([1, 1, 1], size=rows)
    table = pd.DataFrame(shares, columns=[f"share_{name}" for name in SOURCES])
    table["loss_web"] = additive_loss(shares, noise, seed)
    table["loss_code"] = 1 + 1 / (0.3 + 2 * shares[:, 1] ** 0.5)
    return table


# --- terms: derivatives are exact, laws are convex


@pytest.mark.parametrize("name", FORMULA_LAWS)
def test_the_slopes_of_a_law_are_its_derivatives_in_the_parameters(name: str) -> None:
    rng = np.random.default_rng(1)
    scales = {"params": rng.uniform(0.5, 2, 8), "tokens": rng.uniform(0.5, 2, 8)}
    model = term_sum(mixing_law(name), SOURCES, tuple(scales))
    inputs = dict(zip(SOURCES, rng.dirichlet([1, 1, 1], 8).T, strict=True)) | scales
    theta = (model.location + 0.1 * rng.standard_normal(len(model.parameters)))[None]
    _, slopes = model.predict(theta, inputs)
    for k in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, k] = 1e-6
        up, down = model.predict(theta + step, inputs)[0], model.predict(theta - step, inputs)[0]
        np.testing.assert_allclose(slopes[k], (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", FORMULA_LAWS)
def test_the_gradient_and_hessian_in_the_shares_are_derivatives(name: str) -> None:
    rng = np.random.default_rng(2)
    scales = {"params": np.array(1.3), "tokens": np.array(0.7)}
    model = term_sum(mixing_law(name), SOURCES, tuple(scales))
    theta = (model.location + 0.1 * rng.standard_normal(len(model.parameters)))[None]
    shares = np.array([[0.5, 0.3, 0.2]])
    here = model.at(theta, shares, scales)
    row = model.predict(theta, dict(zip(SOURCES, shares.T, strict=True))
                        | {k: v[None] for k, v in scales.items()})[0]  # fmt: skip
    np.testing.assert_allclose(here.value, row[:, 0])
    for k in range(3):
        step = np.eye(3)[[k]] * 1e-6
        up, down = model.at(theta, shares + step, scales), model.at(theta, shares - step, scales)
        np.testing.assert_allclose(
            here.gradient[:, k], (up.value - down.value) / 2e-6, rtol=1e-5, atol=1e-7
        )
        np.testing.assert_allclose(
            here.hessian[:, k], (up.gradient - down.gradient) / 2e-6, rtol=1e-4, atol=1e-5
        )


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_laws_that_are_called_convex_are_convex(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name in FORMULA_LAWS:
        if not LAWS[name].convex:
            continue
        model = term_sum(LAWS[name], SOURCES, ())
        theta = model.location + model.spread * rng.uniform(-1, 1, len(model.parameters))
        theta = np.where([p.name.startswith("gamma") for p in model.parameters],
                         np.clip(theta, 0.02, 1.0), theta)  # fmt: skip
        theta = np.where([p.name.startswith("alpha") for p in model.parameters],
                         np.abs(theta), theta)  # fmt: skip
        hessian = model.at(theta[None], rng.dirichlet([1, 1, 1])[None], {}).hessian[0]
        values = np.linalg.eigvalsh(hessian)
        assert values[0] >= -1e-9 * max(abs(values[-1]), 1.0), name


# --- fits


def test_a_fit_recovers_a_law_that_made_the_losses() -> None:
    fit = fit_mixture(pilots(60, noise=0.0), targets=["loss_web"], draws=20)
    new = np.random.default_rng(9).dirichlet([1, 1, 1], size=200)
    predicted = fit.trained.predict(new, {})[0, 0]
    np.testing.assert_allclose(predicted, additive_loss(new), rtol=2e-4)


@pytest.mark.parametrize("name", [n for n in LAWS if "lightgbm" not in n and n != "joint"])
def test_every_law_predicts_mixtures_it_has_not_seen(name: str) -> None:
    fit = fit_mixture(pilots(40), law=name, folds=5, repeats=1, draws=3)
    assert (fit.accuracy()["r2"] > 0.5).all()
    assert set(fit.predict({"web": 0.5, "code": 0.2, "books": 0.3})["target"]) >= {"web", "code"}


OWN = "E + 1 / (k + a * web**p + b * code**q + c * books**r)"


def test_a_law_of_ones_own_is_a_formula_in_the_names_of_the_sources(tmp_path: Path) -> None:
    fit = fit_mixture(pilots(40), targets="loss_web", law=OWN, folds=5, repeats=1, draws=5)
    assert fit.accuracy()["r2"].min() > 0.98
    assert set(fit.params["parameter"]) == {"E", "k", "a", "p", "b", "q", "c", "r"}
    assert fit.choose().losses["predicted"].min() < fit.pilots.losses.min() + 0.05
    loaded = sk.load(fit.save(tmp_path / "own.json"))
    assert loaded.to_dict() == fit.to_dict()


def test_the_derivatives_of_a_formula_in_the_shares_are_exact() -> None:
    model = term_sum(mixing_law(OWN), SOURCES, ())
    theta = model.location[None]
    shares, step = np.array([[0.5, 0.3, 0.2]]), np.array([[0.0, 1e-6, 0.0]])
    here, up, down = (model.at(theta, shares + k * step, {}) for k in (0, 1, -1))
    np.testing.assert_allclose(here.gradient[:, 1], (up.value - down.value) / 2e-6, rtol=1e-6)
    np.testing.assert_allclose(
        here.hessian[:, 1], (up.gradient - down.gradient) / 2e-6, rtol=1e-5, atol=1e-8
    )


def test_lightgbm_says_what_to_install_or_fits() -> None:
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match=r"needs the package 'lightgbm'"):
            fit_mixture(pilots(), law="lightgbm")
        return
    fit = fit_mixture(pilots(60), law="additive+lightgbm", folds=5, repeats=1, draws=2)
    assert (fit.accuracy()["r2"] > 0.5).all()


def test_scales_are_part_of_a_law() -> None:
    rng = np.random.default_rng(3)
    table = pilots(60)
    table["params"], table["tokens"] = rng.choice([1e7, 1e8], 60), rng.choice([1e9, 1e10], 60)
    shift = 0.5 * (table["params"] / 1e7) ** -0.3 + 0.4 * (table["tokens"] / 1e9) ** -0.25
    table["loss_web"] = table["loss_web"] + shift
    fit = fit_mixture(table, targets="loss_web", scales=["params", "tokens"], draws=20)
    mixture = {"web": 0.4, "code": 0.3, "books": 0.3}
    large = fit.predict(mixture, params=1e9, tokens=1e11)["predicted"][0]
    expected = additive_loss(np.array([[0.4, 0.3, 0.3]]))[0] + 0.5 * 100**-0.3 + 0.4 * 100**-0.25
    assert large == pytest.approx(expected, rel=0.01)


def test_intervals_for_new_runs_cover_new_runs() -> None:
    inside = []
    for seed in range(10):
        fit = fit_mixture(pilots(30, 0.01, seed), targets="loss_web", draws=30,
                          confidence_level=0.9, rng=seed)  # fmt: skip
        new = np.random.default_rng(100 + seed).dirichlet([1, 1, 1], size=100)
        observed = additive_loss(new, 0.01, 100 + seed)
        table = fit.predict(pd.DataFrame(new, columns=list(SOURCES)))
        table = table[table["target"] == "web"]
        inside.append(((table["obs_lower"] <= observed) & (observed <= table["obs_upper"])).mean())
    assert 0.84 < np.mean(inside) < 0.98


def test_sums_that_rounding_explains_are_rescaled() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(9), size=40).round(2)
    assert np.abs(shares.sum(axis=1) - 1).max() > 0.015
    table = pd.DataFrame(shares, columns=[f"share_{k}" for k in range(9)])
    read = read_pilots(table.assign(loss=shares[:, 0] + 2), targets="loss")
    np.testing.assert_allclose(read.shares.sum(axis=1), 1)
    assert "shares_rescaled" in [note.code for note in read.notes]


def test_what_shares_were_rounded_to_is_seen() -> None:
    table = pilots()
    columns = [name for name in table if name.startswith("share")]
    for decimals, resolution in ((2, 0.01), (3, 0.001), (9, 0.0)):
        rounded = table.assign(**{name: table[name].round(decimals) for name in columns})
        assert read_pilots(rounded).resolution == pytest.approx(resolution)
        percent = rounded.assign(**{name: 100 * rounded[name] for name in columns})
        assert read_pilots(percent).resolution == pytest.approx(resolution)


def test_the_effect_of_rounding_is_the_deviation_over_what_was_rounded_away() -> None:
    """Of a power of one share, against 100,000 shares that would be written the same."""
    rng = np.random.default_rng(0)

    def loss(shares: np.ndarray) -> np.ndarray:
        return np.sqrt(shares[:, :1]).T

    for share in (0.0, 0.01, 0.3):
        low, high = max(share - 0.005, 0.0), share + 0.005
        drawn = np.sqrt(rng.uniform(low, high, 100_000)).std()
        effect = rounding_effect(loss, np.array([[share, 1 - share]]), 0.01)
        assert effect[0, 0] == pytest.approx(drawn, rel=0.1)


def test_intervals_that_know_of_the_rounding_are_better() -> None:
    """The pilots and new runs have shares of two decimals; the law is steep at small shares."""
    inside, scores, blind = [], [], []
    for seed in range(8):
        exact = np.random.default_rng(seed).dirichlet([0.5, 0.5, 0.5], size=160)
        table = pd.DataFrame(exact.round(2), columns=[f"share_{name}" for name in SOURCES])
        table["loss_web"] = 2 + 1 / (0.2 + exact**0.3 @ [0.8, 0.5, 0.3])
        fit = fit_mixture(table.head(60), draws=5, confidence_level=0.9, rng=seed)
        exactly = replace(fit.pilots, resolution=0.0)
        unaware = replace(fit, trained=replace(fit.trained, pilots=exactly))  # type: ignore[type-var]
        new = table.iloc[60:].set_axis([*SOURCES, "loss"], axis=1)
        observed = new["loss"].to_numpy()
        for asked, found in ((fit, scores), (unaware, blind)):
            rows = asked.predict(new[list(SOURCES)]).query("target == 'web'")
            low, high = rows["obs_lower"].to_numpy(), rows["obs_upper"].to_numpy()
            miss = np.maximum(low - observed, 0) + np.maximum(observed - high, 0)
            found.append((high - low + 2 / 0.1 * miss).mean())  # interval score, Gneiting & Raftery
            if asked is fit:
                inside.append((miss == 0).mean())
    assert np.mean(scores) < 0.95 * np.mean(blind)
    assert 0.84 < np.mean(inside) < 0.96


def test_the_same_seed_gives_the_same_fit_and_another_one_not() -> None:
    first, again, other = (fit_mixture(pilots(), draws=10, rng=seed) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert not np.array_equal(first.draws.theta, other.draws.theta)  # type: ignore[attr-defined]


def test_auto_takes_the_simplest_law_within_one_standard_error() -> None:
    fit = fit_mixture(pilots(60), targets="loss_web", law="auto", draws=10)
    table = fit.laws.set_index("law")
    bar = table["error"].min() + table.loc[table["error"].idxmin(), "standard_error"]
    near = table[table["error"] <= bar]
    assert fit.law.name == near["complexity"].idxmin()
    assert table.loc["additive", "error"] < table.loc["bimix", "error"]


def two_lengths(seed: int) -> pd.DataFrame:
    """Runs of 1B and 4B tokens: web is learned at once, code late, so that the best mixture moves.

    L = 1.5 + 1 / (.5 + h**gamma C) + (.1 + h a) / (tokens / 1B)**.35
    """
    shares = np.random.default_rng(seed).dirichlet([1, 1, 1], 15)
    rows = []
    for tokens in (1e9, 4e9):
        table = pd.DataFrame(shares, columns=[f"share_{name}" for name in SOURCES])
        noise = 0.004 * np.random.default_rng([seed, int(tokens)]).standard_normal(15)
        rows.append(table.assign(tokens=tokens, loss_all=moving_loss(shares, tokens) + noise))
    return pd.concat(rows, ignore_index=True)


def moving_loss(shares: np.ndarray, tokens: float) -> np.ndarray:
    late = (0.1 + shares @ [0.1, 1.2, 0.5]) * (tokens / 1e9) ** -0.35
    return 1.5 + 1 / (0.5 + shares ** [0.5, 0.6, 0.5] @ [1.0, 0.8, 0.6]) + late


def test_pilots_of_two_lengths_tell_how_the_best_mixture_moves() -> None:
    """Regret at 25 times the longest pilot, of the joint law (chosen) and of the additive one."""
    new = np.random.default_rng(1).dirichlet([1, 1, 1], 20_000)
    best = moving_loss(new, 1e11).min()
    regrets: dict[str, list[float]] = {"auto": [], "additive": []}
    for seed in range(3):
        for law, found in regrets.items():
            fit = fit_mixture(two_lengths(seed), scales=["tokens"], law=law, draws=10, rng=seed)
            choice = fit.choose(at={"tokens": 1e11})
            shares = np.array([[choice.shares[name] for name in SOURCES]])
            found.append(float(moving_loss(shares, 1e11)[0] - best))
            assert ("one_mixture" in [note.code for note in fit.notes]) == (law == "additive")
            assert fit.law.name == {"auto": "joint"}.get(law, law)
            assert choice.at == {"tokens": 1e11}
            assert choice.summary().startswith("At tokens 100B: predicted loss")
    assert plot_ternary(fit, choice).get_title() == "at tokens 100B"
    assert np.mean(regrets["auto"]) < 0.012
    assert np.mean(regrets["auto"]) < np.mean(regrets["additive"]) / 3


def test_a_fit_is_saved_and_loaded(tmp_path: Path) -> None:
    table = pilots()
    rounded = {name: table[name].round(3) for name in table if name.startswith("share")}
    fit = fit_mixture(table.assign(**rounded), draws=10)
    loaded = sk.load(fit.save(tmp_path / "fit.json"))
    mixture = {"web": 0.5, "code": 0.2, "books": 0.3}
    pd.testing.assert_frame_equal(loaded.predict(mixture), fit.predict(mixture))  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(loaded.params, fit.params)  # type: ignore[attr-defined]


@pytest.mark.parametrize("law", ["quadratic", "gp", "additive+gp"])
def test_a_law_without_a_formula_is_saved_and_loaded(law: str, tmp_path: Path) -> None:
    fit = fit_mixture(pilots(), law=law, draws=4, folds=5, repeats=1)
    loaded = sk.load(fit.save(tmp_path / "fit.json"))
    mixture = {"web": 0.5, "code": 0.2, "books": 0.3}
    pd.testing.assert_frame_equal(loaded.predict(mixture), fit.predict(mixture), rtol=1e-6)  # type: ignore[attr-defined]


def test_the_catalogue_lists_every_law_with_its_source() -> None:
    table = mixing_laws()
    assert set(table["law"]) == set(LAWS)
    assert (table["source"].str.len() > 0).all()


def test_sources_are_named_by_what_follows_the_prefix() -> None:
    table = pilots()
    read = read_pilots(table)
    assert read.sources == SOURCES
    assert read.targets == ("web", "code")
    named = read_pilots(table.rename(columns=lambda c: c.replace("share_", "mix.")), "mix.*")
    assert named.sources == ("mix.web", "mix.code", "mix.books")


# --- what comes in is checked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.assign(share_web=t["share_web"] + 0.1),
            r"shares sum to 1\.1, not to 1 .*no share, or a sum of others\? Name the share columns",
        ),
        (
            lambda t: t.drop(columns="share_web"),
            r"shares sum to .*, not to 1 \(share_code, share_books\)\. Is a source missing",
        ),
        (
            lambda t: t.assign(
                **{c: 100 * t[c] + (t.index == 2) * 9 for c in t if c.startswith("share")}
            ),
            r"data row 3: the shares sum to \d+, not to 100",
        ),
        (lambda t: t.assign(share_web=-t["share_web"]), r"share 'share_web' is -"),
        (lambda t: t.assign(share_web=np.nan), r"'share_web' is missing\. .*write 0 for a source"),
        (
            lambda t: t.assign(share_web=["half", *t["share_web"][1:]]),
            r"data row 1: the share 'share_web' is 'half', which is no number",
        ),
        (lambda t: t.assign(loss_web=3.0), r"'loss_web' is 3 in every row; a constant"),
        (lambda t: t.assign(loss_web=np.nan), r"'loss_web' has 0 value"),
        (lambda t: t.assign(loss_web=t["loss_web"] - 9), r"Mixing laws are for positive losses"),
        (lambda t: t.head(3), r"3 pilot run\(s\)\. A law needs 4"),
        (lambda t: t.drop(columns=["share_code", "share_books"]), r"needs two sources"),
        (lambda t: t[["share_web"]], r"no column that begins with 'loss_'"),
    ],
)
def test_bad_pilots_are_refused(change: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_mixture(change(pilots()), draws=2)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": "loss_wbe"}, r"no column 'loss_wbe' \(targets\)\. Did you mean 'loss_web'"),
        ({"shares": ["share_wbe", "share_code"]}, r"no column 'share_wbe' \(shares\)"),
        ({"scales": ["length"]}, r"scale 'length' is 2B in every row, so that nobody can tell"),
        ({"scales": ["params"]}, r"no column 'params' \(scale\)"),
        ({"law": "aditive"}, r"no mixing law 'aditive'\. Did you mean 'additive'"),
        ({"law": "joint"}, r"'joint' needs runs of several scales"),
        ({"law": "E + a * x**b"}, r"names none of the sources web, code, books"),
        ({"law": "E + import(web)"}, r"calls 'import'|Cannot read the formula"),
        ({"law": []}, r"No mixing law was named"),
        ({"target_weights": {"wbe": 1}}, r"no target 'wbe'\. Did you mean 'web'"),
        ({"target_weights": {"web": -1}}, r"target_weights are web=-1; they must be zero or more"),
        (
            {"confidence_level": 95},
            r"confidence_level \(--level\) must lie between 0 and 1, .* got 95",
        ),
        ({"folds": 1}, r"folds \(1\)"),
        ({"shares": ["share_*", "loss_web"]}, r"is named both a share and a target"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_mixture(pilots().assign(length="2B"), draws=2, **options)  # type: ignore[arg-type]


def test_columns_without_prefix_are_found_for_the_message() -> None:
    bare = pilots().rename(columns=lambda name: name.removeprefix("share_"))
    bare.insert(0, "run", range(len(bare)))
    message = r"columns web, code, books sum to 1: are they the shares\? --shares web,code,books"
    with pytest.raises(ColumnNotFoundError, match=message):
        fit_mixture(bare, draws=2)
    bare[list(SOURCES)] *= 50
    with pytest.raises(ColumnNotFoundError) as error:
        fit_mixture(bare, draws=2)
    assert "are they the shares" not in str(error.value)


def test_a_scale_that_varies_and_is_not_named_is_told() -> None:
    table = pilots(30).assign(n_tokens=[1e9, 4e9] * 15, params=1e8)
    told = [note for note in read_pilots(table).notes if note.code == "scale_unread"]
    assert [note.message[:43] for note in told] == ["The pilots differ in 'n_tokens' (1B to 4B),"]
    assert not read_pilots(table, scales=["n_tokens"]).notes
    assert not read_pilots(table.assign(steps=table["n_tokens"] / 1e6), scales=["n_tokens"]).notes


def test_a_missing_file_is_told() -> None:
    with pytest.raises(InputError, match=r"There is no file nowhere\.csv"):
        fit_mixture("nowhere.csv")


def test_missing_targets_are_left_out_and_told() -> None:
    table = pilots(30)
    table.loc[:3, "loss_code"] = np.nan
    fit = fit_mixture(table, draws=10)
    assert any(
        "'loss_code' is missing or infinite in 4 of 30" in note.message for note in fit.notes
    )
    assert fit.accuracy()["r2"].min() > 0.9


def test_few_pilots_are_told() -> None:
    notes = fit_mixture(pilots(11), draws=10).notes
    assert any(n.code == "few_pilots" and "3(m+1) = 12" in n.message for n in notes)


def test_a_share_that_never_varies_is_told() -> None:
    table = pilots(30)
    rest = 1 - 0.1
    table["share_web"] *= rest / (1 - table["share_books"])
    table["share_code"] *= rest / (1 - table["share_books"])
    table["share_books"] = 0.1
    notes = fit_mixture(table, draws=5).notes
    assert any(n.code == "constant_share" and "'books'" in n.message for n in notes)


def test_a_law_without_skill_is_an_error_note() -> None:
    table = pilots(15)
    table["loss_web"] = 3 + np.random.default_rng(5).standard_normal(15) * 0.1
    fit = fit_mixture(table, targets="loss_web", draws=5)
    assert any(note.code == "no_skill" and note.severity == "error" for note in fit.notes)


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({"web": 0.5, "code": 0.5}, r"lacks the source 'books'"),
        ({"web": 0.5, "code": 0.2, "boks": 0.3}, r"no source 'boks'\. Did you mean 'books'"),
        ({"web": 0.5, "code": 0.2, "books": 0.2}, r"sum to 0.9"),
    ],
)
def test_a_mixture_is_matched_by_name(mixture: dict[str, float], message: str) -> None:
    fit = fit_mixture(pilots(), draws=2)
    with pytest.raises(InputError, match=message):
        fit.predict(mixture)
    with pytest.raises(InputError, match=r"no scale 'params'"):
        fit.predict({"web": 0.5, "code": 0.2, "books": 0.3}, params=1e9)


def test_names_and_not_positions_match_sources() -> None:
    fit = fit_mixture(pilots(), draws=5)
    ordered = fit.predict({"web": 0.6, "code": 0.3, "books": 0.1})
    turned = fit.predict({"books": 0.1, "code": 0.3, "web": 0.6})
    pd.testing.assert_frame_equal(ordered, turned)
    assert issubclass(ColumnNotFoundError, InputError)


def test_folds_keep_rows_of_one_mixture_together() -> None:
    table = pd.concat([pilots(12, 0.05, 1)] * 3, ignore_index=True)
    read = read_pilots(table)
    assert read.clusters.max() == 11
    trained = train_law(mixing_law("additive"), read)
    from scalekit.selectors.mixtures.crossval import held_out_residuals

    found = held_out_residuals(trained, 12, 1, np.random.default_rng(0))[0]
    np.testing.assert_allclose(found[:, :12], found[:, 12:24], rtol=1e-6)


# --- the tables of RegMix


def test_regmix_54_runs_rank_new_runs_as_well_as_we_say(shared: Path) -> None:
    """Mean rank correlation over 13 targets at 1M: .977 or better from 54 runs (one subset)."""
    folder = shared / "regmix"
    shares = pd.read_csv(folder / "train_mixture_1m.csv", index_col=0)
    losses = pd.read_csv(folder / "train_pile_loss_1m.csv", index_col=0)
    pick = np.random.default_rng(0).choice(512, 54, replace=False)
    read = read_pilots(pd.concat([shares, losses], axis=1).iloc[pick], list(shares), list(losses))
    trained = train_law(mixing_law("additive"), read)
    test = pd.read_csv(folder / "test_mixture_1m.csv", index_col=0)[list(shares)]
    observed = pd.read_csv(folder / "test_pile_loss_1m.csv", index_col=0)[list(losses)]
    predicted = trained.predict(test.div(test.sum(axis=1), axis=0).to_numpy(), {})[0]
    ranks = [pd.Series(p).corr(pd.Series(observed[name].to_numpy()), method="spearman")
             for p, name in zip(predicted, losses, strict=True)]  # fmt: skip
    assert np.mean(ranks) > 0.97


def test_shares_in_percent_are_read_as_such() -> None:
    table = pilots()
    percent = table.assign(**{c: 100 * table[c] for c in table if c.startswith("share")})
    read = read_pilots(percent)
    np.testing.assert_allclose(read.shares, read_pilots(table).shares)
    assert "shares_in_percent" in [note.code for note in read.notes]
    written = table.assign(
        **{c: (100 * table[c]).map("{:.12f} %".format) for c in table if c.startswith("share")}
    )
    np.testing.assert_allclose(read_pilots(written).shares, read.shares)


def test_a_pilot_that_diverged_is_named() -> None:
    table = pilots()
    assert "far_pilot" not in [note.code for note in fit_mixture(table, draws=20).notes]
    target = next(c for c in table if c.startswith("loss"))
    table.loc[6, target] *= 2
    far = [note for note in fit_mixture(table, draws=20).notes if note.code == "far_pilot"]
    assert far[0].message.startswith("Data row 7: the target")
