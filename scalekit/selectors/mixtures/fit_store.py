"""What a fitted mixing law keeps on disk, and the fit that comes back from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.notes import Note
from scalekit.results import Provenance
from scalekit.selectors.mixtures.catalogue import mixing_law, term_sum
from scalekit.selectors.mixtures.crossval import train_law
from scalekit.selectors.mixtures.mixture_fit import MixtureFit
from scalekit.selectors.mixtures.pilots import Pilots
from scalekit.selectors.mixtures.regressions import TrainedRegression
from scalekit.selectors.mixtures.training import TrainedSum


def fit_arrays(fit: MixtureFit) -> dict[str, np.ndarray]:
    """Return pilots, parameters, draws and residuals; see `MixtureFit.arrays`."""
    pilots = {
        "shares": fit.pilots.shares,
        "losses": fit.pilots.losses,
        "residuals": fit.residuals,
        "weights": fit.weights,
        **{f"scale_{name}": values for name, values in fit.pilots.scales.items()},
    }
    if isinstance(fit.draws, TrainedRegression):
        # a law without a formula is fitted again to the same pilots with the same weights
        return pilots | {"draw_weights": fit.draws.weights}
    if not isinstance(fit.trained, TrainedSum) or not isinstance(fit.draws, TrainedSum):
        return pilots
    return pilots | {
        "theta": fit.trained.theta,
        "draws": fit.draws.theta,
        "level": fit.trained.level,
        "noise": fit.trained.noise,
        "reference": np.array(list(fit.trained.reference.values())),
    }


def restore_fit(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> MixtureFit:
    """Return the fit that `save` wrote; see `MixtureFit.restore`."""
    law = mixing_law(values["law"])
    notes = tuple(Note(**note) for note in values["notes"])
    provenance = Provenance.from_dict(values["provenance"])
    scales = {name: arrays[f"scale_{name}"] for name in values["scales"]}
    pilots = Pilots(tuple(values["sources"]), tuple(values["targets"]), arrays["shares"],
                    arrays["losses"], scales, notes, provenance,
                    values.get("resolution", 0.0))  # fmt: skip
    rest = (arrays["residuals"], pd.DataFrame(values["laws"]), arrays["weights"],
            values["confidence_level"], notes, provenance)  # fmt: skip
    if "theta" not in arrays:
        again = train_law(law, pilots)
        return MixtureFit(law, again, again.refit(arrays["draw_weights"]), *rest)
    reference = dict(zip(scales, arrays["reference"].tolist(), strict=True))
    model = term_sum(law, pilots.sources, tuple(scales))
    trained = TrainedSum(model, pilots, arrays["theta"], arrays["level"], reference,
                         arrays["noise"])  # fmt: skip
    return MixtureFit(law, trained, replace(trained, theta=arrays["draws"]), *rest)
