"""What a fitted mixing law is: predictions, held-out accuracy, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.selectors.mixtures.catalogue import MixingLaw
from scalekit.selectors.mixtures.pilots import Pilots, as_table, by_name, sum_tolerance
from scalekit.selectors.mixtures.reaches import residual_reach, rounding_effect
from scalekit.selectors.mixtures.training import Scales, Trained, TrainedSum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalekit.selectors.mixtures.mixture_choice import MixtureChoice
    from scalekit.selectors.mixtures.pilot_plan import PilotPlan

AVERAGE = "(weighted mean)"
FAR = 2.0  # times the widest interval of the curve at a pilot: the law extrapolates


@dataclass(frozen=True, eq=False, repr=False)
class MixtureFit(Result):
    """A mixing law fitted to pilot runs; see `fit_mixture`.

    `residuals` (repeats, targets, pilots) are held out; `laws` ranks the laws that were compared;
    `weights` (targets,) makes one loss of all targets.
    """

    law: MixingLaw
    trained: Trained
    draws: Trained
    residuals: np.ndarray
    laws: pd.DataFrame
    weights: np.ndarray
    confidence_level: float
    notes: tuple[Note, ...]
    provenance: Provenance
    kind: ClassVar[str] = "mixture_fit"

    @property
    def pilots(self) -> Pilots:
        """The pilot runs that the law was fitted to."""
        return self.trained.pilots

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources."""
        return self.pilots.sources

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the targets."""
        return self.pilots.targets

    def predict(self, mixtures: Mapping[str, Any] | pd.DataFrame, **scales: float) -> pd.DataFrame:
        """Return predicted losses of `mixtures`: a row for each mixture and target.

        `mixtures` has a column (or a value) for every source, by name. `ci_*` bounds the law's
        curve (draws), `obs_*` the loss of one new run (quantile of held-out residuals, scaled by
        the predicted loss and by what rounded shares make of it: right for mixtures like the
        pilots). Where the curve is more than twice
        as uncertain as at any pilot, `extrapolation` is True: go by `ci_*` there. The last rows
        are the weighted mean of the targets.
        Raises ColumnNotFoundError for an unknown or missing source, InputError for shares that do
        not sum to one.
        """
        shares = self._shares_of(mixtures)
        settled = self.settle_scales(scales)
        centre = self._with_mean(self.trained.predict(shares, settled))[0]
        low, high = self._percentiles(self._with_mean(self.draws.predict(shares, settled)))
        at_pilots = self.draws.predict(self.pilots.shares, self.pilots.scales)
        inner_low, inner_high = self._percentiles(self._with_mean(at_pilots))
        reach = self._reach(centre, shares, settled)
        known = (inner_high - inner_low).max(axis=1)
        frames = []
        for k, name in enumerate((*self.targets, AVERAGE)):
            obs_low, obs_high = centre[k] - reach[k], centre[k] + reach[k]
            far = high[k] - low[k] > FAR * known[k]
            frames.append(pd.DataFrame({
                "mixture": np.arange(len(shares)), "target": name, "predicted": centre[k],
                "ci_lower": low[k], "ci_upper": high[k],
                "obs_lower": obs_low, "obs_upper": obs_high,
                "extrapolation": far,
            }))  # fmt: skip
        return pd.concat(frames, ignore_index=True)

    def choose(self, **limits: Any) -> MixtureChoice:
        """Return the best mixture under limits; see `scalekit.selectors.mixtures.choose`."""
        from scalekit.selectors.mixtures.choosing import choose

        return choose(self, **limits)

    def next_pilot(self, count: int = 1, **limits: Any) -> PilotPlan:
        """Return the mixtures worth running next; see `selectors.mixtures.next_pilots`."""
        from scalekit.selectors.mixtures.next_runs import next_pilots

        return next_pilots(self, count, **limits)

    def dilution(self, **scales: float) -> pd.DataFrame:
        """Return, for each target and pair of sources, whether mixing beats the better one."""
        from scalekit.selectors.mixtures.diluting import dilution

        return dilution(self, **scales)

    def value(self, shares: np.ndarray, scales: Scales, draws: bool = False) -> np.ndarray:
        """Return the weighted mean of the targets (members, rows) at shares (rows, sources)."""
        members = self.draws if draws else self.trained
        found: np.ndarray = np.einsum("t,btr->br", self.weights, members.predict(shares, scales))
        return found

    def settle_scales(self, scales: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Return the asked scales, or the largest of the pilots where none is asked."""
        unknown = [name for name in scales if name not in self.pilots.scales]
        if unknown:
            known = ", ".join(self.pilots.scales) or "none"
            raise InputError(
                f"The pilots have no scale '{unknown[0]}' (scales: {known}). Fit with "
                f"scales=['{unknown[0]}'] to predict along it."
            )
        largest = {name: values.max() for name, values in self.pilots.scales.items()}
        return {name: np.asarray(scales.get(name, most)) for name, most in largest.items()}

    def _shares_of(self, mixtures: Mapping[str, Any] | pd.DataFrame) -> np.ndarray:
        if isinstance(mixtures, Mapping) and all(np.ndim(v) == 0 for v in mixtures.values()):
            mixtures = {name: [value] for name, value in mixtures.items()}
        frame, _ = as_table(mixtures, "mixtures")
        names = [str(name) for name in frame]
        rows = [
            by_name(dict(zip(names, row, strict=True)), self.sources, f"mixture {k + 1}")
            for k, row in enumerate(frame.to_numpy(float))
        ]
        shares = np.array(rows)
        off = np.abs(shares.sum(axis=1) - 1)
        allowed = sum_tolerance(len(self.sources), self.pilots.resolution)
        if off.max(initial=0) > allowed or (shares < 0).any():
            row = int(np.where((shares < 0).any(axis=1), np.inf, off).argmax())
            raise InputError(
                f"mixture {row + 1}: the shares sum to {shares[row].sum():.4g} (least "
                f"{shares[row].min():.4g}); they must be zero or more and sum to 1."
            )
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def _with_mean(self, losses: np.ndarray) -> np.ndarray:
        """Return losses (members, targets, rows) with the weighted mean as one more target."""
        mean = np.einsum("t,btr->br", self.weights, losses)[:, None]
        return np.concatenate([losses, mean], axis=1)

    def _percentiles(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tail = (1 - self.confidence_level) / 2
        low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
        return low, high

    def _reach(self, centre: np.ndarray, shares: np.ndarray, scales: Scales) -> np.ndarray:
        """Return how far new runs may lie from predictions `centre` (targets and mean, rows)."""
        residuals = self._with_mean(self.residuals)
        held_out = self._with_mean(self.pilots.losses - self.residuals)
        hints, new = [held_out], [centre]
        if self.pilots.resolution > 0:
            moved = self._log_rounding(self.pilots.shares, self.pilots.scales)
            hints.append(np.broadcast_to(moved, held_out.shape))
            new.append(self._log_rounding(shares, scales))
        told, asked = np.stack(hints), np.stack(new)
        reach = [
            residual_reach(told[:, :, k], residuals[:, k], asked[:, k], self.confidence_level)
            for k in range(len(centre))
        ]
        return np.array(reach)

    def _log_rounding(self, shares: np.ndarray, scales: Scales) -> np.ndarray:
        """Return the logarithm of how much rounding moves the law (targets and mean, rows)."""

        def centre(trial: np.ndarray) -> np.ndarray:
            rows = {name: np.resize(value, len(trial)) for name, value in scales.items()}
            return self._with_mean(self.trained.predict(trial, rows))[0]

        moved = rounding_effect(centre, shares, self.pilots.resolution)
        return np.log(np.maximum(moved, 1e-12))

    def accuracy(self) -> pd.DataFrame:
        """Return, for each target, held-out root mean square error, rank correlation and R2."""
        rows = []
        for k, name in enumerate(self.targets):
            observed = self.pilots.losses[k]
            kept = np.isfinite(observed)
            error = self.residuals[:, k, kept]
            predicted = observed[kept] - error.mean(axis=0)
            order = pd.Series(predicted).corr(pd.Series(observed[kept]), method="spearman")
            rows.append({
                "target": name, "rmse": float(np.sqrt((error**2).mean())),
                "spearman": float(order),
                "r2": 1 - float((error**2).mean() / observed[kept].var()),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def to_frame(self) -> pd.DataFrame:
        """Return the held-out accuracy for each target."""
        return self.accuracy()

    @property
    def params(self) -> pd.DataFrame:
        """The parameters of a law with a formula: a row for each target and parameter.

        They belong to losses in units of the target's mean over the pilots, and to scales in units
        of their geometric mean.
        """
        if not isinstance(self.trained, TrainedSum) or not isinstance(self.draws, TrainedSum):
            raise InputError(f"The law '{self.law.name}' has no parameters to show.")
        tail = (1 - self.confidence_level) / 2
        low, high = np.quantile(self.draws.theta, [tail, 1 - tail], axis=0)
        rows = []
        for t, target in enumerate(self.targets):
            for k, parameter in enumerate(self.trained.model.parameters):
                turn = np.exp if parameter.log else float
                rows.append({"target": target, "parameter": parameter.name,
                             "estimate": float(turn(self.trained.theta[0, t, k])),
                             "ci_lower": float(turn(low[t, k])),
                             "ci_upper": float(turn(high[t, k]))})  # fmt: skip
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Return the law, its held-out accuracy and the notes as text."""
        first = (
            f"Mixing law '{self.law.name}': {self.law.formula}; {len(self.pilots)} pilots, "
            f"{len(self.sources)} sources, {len(self.targets)} target(s)."
        )
        table = self.accuracy().to_string(index=False, float_format="{:.4g}".format)
        compared = ""
        if len(self.laws) > 1:
            shown = self.laws.drop(columns="complexity")
            rows = shown.to_string(index=False, float_format="{:.4g}".format)
            compared = f"\n\nLaws compared (error: share of the variance, held out):\n{rows}"
        return with_notes(f"{first}\n\nHeld out:\n{table}{compared}", self.notes)

    def payload(self) -> dict[str, Any]:
        """Return law, names, accuracy and what `restore` needs."""
        return {
            "law": self.law.name,
            "formula": self.law.formula,
            "sources": list(self.sources),
            "targets": list(self.targets),
            "scales": list(self.pilots.scales),
            "resolution": self.pilots.resolution,
            "weights": dict(zip(self.targets, self.weights, strict=True)),
            "confidence_level": self.confidence_level,
            "accuracy": self.accuracy().to_dict("records"),
            "laws": self.laws.to_dict("records"),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return pilots, parameters, draws and residuals for `save`."""
        from scalekit.selectors.mixtures.fit_store import fit_arrays

        return fit_arrays(self)

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> MixtureFit:
        """Return the fit that `save` wrote.

        A law without a formula is fitted again, to the same pilots with the same weights.
        """
        from scalekit.selectors.mixtures.fit_store import restore_fit

        return restore_fit(values, arrays)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw predicted (held out) against observed losses, a colour for each target."""
        from scalekit.selectors.mixtures.pictures import plot_predicted

        return plot_predicted(self, ax)
