"""A mixing law as the batched solver sees it: a sum of terms, with weak priors as extra rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalekit.fitters.model import Pairs, Parameter, Scales
from scalekit.selectors.mixtures.terms import Point, Term

PRIOR_ROW = "prior row"  # -1 for a pilot, else the parameter that this row is the prior of


class TermSum:
    """A sum of terms over `sources`; implements `scalekit.fitters.model.Model`.

    The solver's scales are one array of shares for each source, the law's scales, and
    `PRIOR_ROW`: rows beyond the pilots hold `(theta_k - location_k) / spread_k`, whose target is
    zero, so that least squares on all rows is the posterior mode. Second derivatives are left to
    Gauss and Newton: residuals of a mixing law are small.
    """

    linear: tuple[str, ...] = ()

    def __init__(self, terms: Sequence[Term], sources: Sequence[str]) -> None:
        """Make the sum of `terms`, each of which knows its sources."""
        self.terms, self.sources = tuple(terms), tuple(sources)
        self.parameters: tuple[Parameter, ...] = tuple(p for t in terms for p in t.parameters)
        priors = np.array([prior for term in terms for prior in term.priors])
        self.location, self.spread = priors[:, 0], priors[:, 1]
        ends = np.cumsum([len(term.parameters) for term in terms])
        self._places = [
            slice(end - len(t.parameters), end) for end, t in zip(ends, terms, strict=True)
        ]

    def derivatives(
        self, theta: np.ndarray, scales: Scales
    ) -> tuple[np.ndarray, list[np.ndarray], Pairs]:
        """Return predictions, first derivatives and no second ones (Gauss-Newton)."""
        owner = np.asarray(scales[PRIOR_ROW])
        pilots = owner < 0
        value = np.zeros((len(theta), len(owner)))
        slopes = np.zeros((theta.shape[1], *value.shape))
        found, first = self.predict(theta, scales, pilots)
        value[:, pilots], slopes[:, :, pilots] = found, first
        which = owner[~pilots].astype(int)
        value[:, ~pilots] = (theta[:, which] - self.location[which]) / self.spread[which]
        slopes[which, :, np.flatnonzero(~pilots)] = 1 / self.spread[which, None]
        return value, list(slopes), {}

    def predict(
        self, theta: np.ndarray, scales: Scales, rows: np.ndarray | slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions (batch, rows) and slopes (parameters, batch, rows)."""
        shares = np.stack([np.asarray(scales[name])[rows] for name in self.sources], axis=-1)[None]
        kept = {name: np.asarray(scale)[rows] for name, scale in scales.items()}
        value = np.zeros((len(theta), shares.shape[1]))
        slopes = np.empty((theta.shape[1], *value.shape))
        with np.errstate(all="ignore"):
            for term, place in zip(self.terms, self._places, strict=True):
                found, slopes[place] = term.rows(theta[:, place], shares, kept)
                value += found
        return value, slopes

    def value(self, theta: np.ndarray, scales: Scales) -> np.ndarray:
        """Return the predictions, of shape (batch, rows)."""
        return self.derivatives(theta, scales)[0]

    def columns(self, theta: np.ndarray, scales: Scales) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the predictions and no columns: no parameter is singled out as linear."""
        return self.value(theta, scales), []

    def at(self, theta: np.ndarray, shares: np.ndarray, scales: Scales) -> Point:
        """Return value, gradient and Hessian in the shares: one point (batch, sources) a member."""
        parts = [
            term.point(theta[:, place], shares, scales)
            for term, place in zip(self.terms, self._places, strict=True)
        ]
        value, gradient, hessian = (sum(entries) for entries in zip(*parts, strict=True))
        return Point(np.asarray(value), np.asarray(gradient), np.asarray(hessian))
