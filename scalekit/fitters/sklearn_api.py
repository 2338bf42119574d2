"""scikit-learn's form of a fit: `PowerLawRegressor().fit(X, y)`, for pipelines and grid searches.

Runs have names, units, repeats and weights, which `X, y` lose: for those use `scalekit.fit`.
This module needs scikit-learn; `scalekit.PowerLawRegressor` imports it on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, require
from scalekit.fitters.fitting import fit
from scalekit.fitters.law import Law
from scalekit.fitters.laws import as_law

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator, RegressorMixin
else:
    _base = require("sklearn.base", "sklearn", "PowerLawRegressor")
    BaseEstimator, RegressorMixin = _base.BaseEstimator, _base.RegressorMixin


class PowerLawRegressor(RegressorMixin, BaseEstimator):
    """A law as a scikit-learn regressor; the columns of X are the scales, y is the loss.

    `law` is a name of the catalogue, a formula or a `Law`; None is a constant and one power for
    each column, `E + A_0 / x_0**alpha_0 + ...`. A law names its scales by the columns of a
    DataFrame; for an array it takes the columns in its own order. Scales and losses are positive;
    a zero of X counts as the smallest positive value of its column. The other arguments are those
    of `scalekit.fit`; `interval="none"` leaves out the bootstrap.

    Attributes: `fit_`, the `Fit` with parameters, intervals and notes; `law_`; `n_features_in_`;
    `feature_names_in_`.

    >>> X = np.array([[1e6], [1e7], [1e8], [1e9], [1e10]])
    >>> model = PowerLawRegressor().fit(X, 1 + 100 / X[:, 0] ** 0.3)
    >>> round(float(model.fit_.params["alpha_0"]), 3)
    0.3
    """

    def __init__(
        self,
        law: str | Law | None = None,
        *,
        objective: str = "huber_log",
        delta: float | None = None,
        interval: str = "none",
        resamples: int = 1000,
        starts: int = 24,
        random_state: int | np.random.Generator | None = 0,
    ) -> None:
        self.law = law
        self.objective = objective
        self.delta = delta
        self.interval = interval
        self.resamples = resamples
        self.starts = starts
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> PowerLawRegressor:
        """Fit the law to scales `X` (runs, columns) and losses `y` (runs,); return self.

        Raises InputError for scales that are negative, FitError where the runs are too few.
        """
        from sklearn.utils.validation import validate_data

        X, y = validate_data(self, X, y, dtype="float64", y_numeric=True, ensure_min_samples=2)
        self._smallest = np.array([_smallest_positive(column) for column in X.T])
        self.law_ = self._settle_law(X.shape[1])
        self.fit_ = fit(
            {**self._scales(X), "loss": y},
            self.law_,
            objective=self.objective,
            delta=self.delta,
            interval=self.interval,
            resamples=self.resamples,
            starts=self.starts,
            rng=self.random_state,
        )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the loss at scales `X` (rows, columns)."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        X = validate_data(self, X, dtype="float64", reset=False)
        return self.law_.predict(self.fit_.values, **self._scales(X))

    def predict_table(self, X: Any) -> pd.DataFrame:
        """Return the table of `Fit.predict` at `X`: mean and observation intervals too."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        X = validate_data(self, X, dtype="float64", reset=False)
        return self.fit_.predict(pd.DataFrame(self._scales(X))).table

    def _settle_law(self, columns: int) -> Law:
        names = [f"x_{k}" for k in range(columns)]
        if self.law is None:
            terms = [f"A_{k} / {name}**alpha_{k}" for k, name in enumerate(names)]
            return Law("powers", " + ".join(["E", *terms]), scales=tuple(names))
        law = as_law(self.law, [str(name) for name in getattr(self, "feature_names_in_", names)])
        if len(law.scales) > columns:
            raise InputError(
                f"The law '{law.name}' depends on {len(law.scales)} scales "
                f"({', '.join(law.scales)}), but X has {columns} column(s)."
            )
        return law

    def _scales(self, X: np.ndarray) -> dict[str, np.ndarray]:
        if (X < 0).any():
            raise InputError(
                "Negative values in data passed to PowerLawRegressor: scales are positive. Give "
                "raw scales, not their logarithms or standardised values."
            )
        named = [str(name) for name in getattr(self, "feature_names_in_", ())]
        inside = set(self.law_.scales) <= set(named)
        places = [named.index(name) for name in self.law_.scales] if inside else range(X.shape[1])
        lifted = np.maximum(X, self._smallest)
        return {
            name: lifted[:, place] for name, place in zip(self.law_.scales, places, strict=False)
        }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True
        return tags


def _smallest_positive(column: np.ndarray) -> float:
    positive = column[column > 0]
    return float(positive.min()) if positive.size else 1.0
