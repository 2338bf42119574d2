"""Save and load a combination of forms: plain values for JSON, and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalekit.fitters.candidates import Candidate, Fitted
from scalekit.fitters.combined import Combination
from scalekit.fitters.law import Law
from scalekit.fitters.model import Parameter
from scalekit.fitters.predictive import Calibration
from scalekit.fitters.rolling import Forecasts


def law_values(law: Law) -> dict[str, Any]:
    """Return a law as plain values, from which `law_from` makes it again."""
    return {
        "law": law.name,
        "formula": law.formula,
        "source": law.source,
        "scales": list(law.scales),
        "parameters": [vars(parameter) for parameter in law.parameters],
        "between": law.between,
    }


def law_from(values: Mapping[str, Any]) -> Law:
    """Return the law that `law_values` wrote; JSON has null for an infinite bound."""
    parameters = []
    for entry in values["parameters"]:
        lower = -np.inf if entry["lower"] is None else entry["lower"]
        upper = np.inf if entry["upper"] is None else entry["upper"]
        parameters.append(
            Parameter(**{**entry, "start": tuple(entry["start"]), "lower": lower, "upper": upper})
        )
    return Law(
        values["law"],
        values["formula"],
        values["source"],
        scales=tuple(values["scales"]),
        parameters=tuple(parameters),
        between=tuple(values["between"]) if values["between"] else None,
    )


def combination_values(found: Combination) -> dict[str, Any]:
    """Return the part of a combination that JSON keeps."""
    return {
        "candidates": [
            {
                **law_values(fit.law),
                "trimmed": fit.candidate.trimmed,
                "shared": fit.candidate.shared,
                "tilt": fit.candidate.tilt,
            }
            for fit in found.fits
        ],
        "reference": dict(found.reference),
        "horizon": found.horizon,
        "blocks": found.calibration.blocks,
    }


def combination_arrays(found: Combination) -> dict[str, np.ndarray]:
    """Return the part of a combination that is arrays."""
    arrays = {
        "weights": found.weights,
        "probabilities": found.probabilities,
        "largest": found.largest,
        "origins": found.origins,
        "factors": found.calibration.factors,
        "scores": found.calibration.scores,
        "score_weights": found.calibration.weights,
        **{f"past_{name}": entry for name, entry in vars(found.past).items()},
    }
    for k, fit in enumerate(found.fits):
        arrays |= {
            f"fit{k}_theta": fit.theta,
            f"fit{k}_covariance": fit.covariance,
            f"fit{k}_noise": fit.noise,
        }
    return arrays


def combination_from(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Combination:
    """Return the combination that the two functions above wrote."""
    fits = []
    for k, entry in enumerate(values["candidates"]):
        law = law_from(entry)
        candidate = Candidate(law, entry["trimmed"], entry["shared"], entry["tilt"])
        kept = [arrays[f"fit{k}_{name}"] for name in ("theta", "covariance", "noise")]
        fits.append(Fitted(candidate, law, *kept))
    calibration = Calibration(
        arrays["factors"], arrays["scores"], arrays["score_weights"], values["blocks"]
    )
    past = Forecasts(**{name[5:]: arrays[name] for name in arrays if name.startswith("past_")})
    return Combination(
        tuple(fits),
        arrays["weights"],
        arrays["probabilities"],
        calibration,
        arrays["largest"],
        values["reference"],
        arrays["origins"],
        past,
        values["horizon"],
    )
