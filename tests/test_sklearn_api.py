"""The regressor behaves as scikit-learn asks, and gives what `scalekit.fit` gives."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import scalekit as sk
from scalekit.errors import InputError
from tests.reference.law_examples import EXAMPLES, PARAMS_TOKENS

pytest.importorskip("sklearn")

from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from scalekit.fitters.sklearn_api import PowerLawRegressor


@parametrize_with_checks([PowerLawRegressor(starts=2, delta=0.1)])
def test_scikit_learn_accepts_it(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.fixture(scope="module")
def runs() -> tuple[pd.DataFrame, np.ndarray]:
    law = sk.fitters.as_law("chinchilla")
    loss = law.predict(EXAMPLES["chinchilla"], **PARAMS_TOKENS)
    noise = np.random.default_rng(0).normal(0, 0.004, len(loss))
    return pd.DataFrame(PARAMS_TOKENS), loss * np.exp(noise)


def test_it_gives_what_fit_gives(runs: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = runs
    model = PowerLawRegressor("chinchilla").fit(X, y)
    fitted = sk.fit(X.assign(loss=y), "chinchilla", interval="none")
    pd.testing.assert_series_equal(model.fit_.params, fitted.params)
    np.testing.assert_allclose(model.predict(X), fitted.predict(X).table["predicted"])


def test_columns_of_a_frame_are_found_by_name(runs: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = runs
    turned = PowerLawRegressor("chinchilla").fit(X[["tokens", "params"]], y)
    array = PowerLawRegressor("chinchilla").fit(X.to_numpy(), y)
    np.testing.assert_allclose(turned.predict(X[["tokens", "params"]]), array.predict(X.to_numpy()))


def test_without_a_law_it_is_a_constant_and_one_power_a_column(
    runs: tuple[pd.DataFrame, np.ndarray],
) -> None:
    X, y = runs
    model = PowerLawRegressor().fit(X.to_numpy(), y)
    assert model.law_.formula == "E + A_0 / x_0**alpha_0 + A_1 / x_1**alpha_1"
    assert model.score(X.to_numpy(), y) > 0.99


def test_it_can_be_searched_over_and_pickled(runs: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = runs
    search = GridSearchCV(
        PowerLawRegressor(starts=4), {"law": ["chinchilla", "chinchilla_tied"]}, cv=3
    )
    search.fit(X, y)
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_intervals_come_with_the_table(runs: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = runs
    model = PowerLawRegressor("chinchilla", interval="delta", resamples=200).fit(X, y)
    table = model.predict_table(X)
    assert (table["ci_lower"] < table["predicted"]).all()
    assert (table["obs_upper"] > table["ci_upper"]).all()


def test_bad_input_is_told() -> None:
    x = np.geomspace(1, 1e4, 8)[:, None]
    with pytest.raises(InputError, match=r"Negative values.*Give raw scales"):
        PowerLawRegressor().fit(np.log(x / 10), 2 + 1 / x[:, 0])
    with pytest.raises(InputError, match=r"depends on 2 scales.*X has 1 column"):
        PowerLawRegressor("chinchilla").fit(x, 2 + 1 / x[:, 0])


def test_it_is_public_and_lazy() -> None:
    assert sk.PowerLawRegressor is PowerLawRegressor
