"""Information criteria: what people ask for beside roll-outs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scalekit.fitters.candidates import Candidate, Fitted
from scalekit.fitters.study import Study


def information_criteria(study: Study, fits: Sequence[Fitted]) -> pd.DataFrame:
    """Return AIC and BIC of each untrimmed candidate, as differences from the best.

    From normal errors of log loss. They judge the fit to the runs that are there, not the way
    beyond; they stand beside the roll-outs because people ask for them.
    """
    weights = study.members.weights[0]
    present = weights > 0
    rows = int(present.sum())
    found = []
    for fit in fits:
        if fit.candidate != Candidate(fit.candidate.law) or not np.isfinite(fit.theta[0]).all():
            continue
        centre, _ = fit.forecast(study.members.scales)
        error = (centre[0] - np.log(study.members.loss[0]))[present]
        deviance = rows * np.log(max(float(np.average(error**2, weights=weights[present])), 1e-20))
        count = len(fit.law.parameters) + 1
        found.append((fit.candidate.name, deviance + 2 * count, deviance + np.log(rows) * count))
    table = pd.DataFrame(found, columns=["candidate", "aic", "bic"])
    return table.assign(
        aic=table["aic"] - table["aic"].min(), bic=table["bic"] - table["bic"].min()
    )
