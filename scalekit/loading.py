"""Reading saved results back: `scalekit.load("fit.json")`."""

from __future__ import annotations

import importlib
from pathlib import Path

from scalekit.errors import OutputError, did_you_mean
from scalekit.results import Result, read_saved

# kind of result -> where its class lives; a new kind is one line here
KINDS = {
    "approaches": ("scalekit.fitters.approaches", "Approaches"),
    "curriculum": ("scalekit.selectors.curriculum", "Curriculum"),
    "transferability": ("scalekit.selectors.transferability.ranking", "Transferability"),
    "agreement": ("scalekit.selectors.agreement.agreeing", "Agreement"),
    "suspects": ("scalekit.selectors.agreement.suspects", "Suspects"),
    "copies": ("scalekit.selectors.prototypes.copies", "Copies"),
    "cover": ("scalekit.selectors.prototypes.covering", "Cover"),
    "prototypes": ("scalekit.selectors.prototypes.finding", "Prototypes"),
    "pruning_frontier": ("scalekit.selectors.pruning.kept_frontier", "PruningFrontier"),
    "selection": ("scalekit.selectors.pruning.selection", "Selection"),
    "perceptron": ("scalekit.selectors.pruning_theory.perceptron_result", "Perceptron"),
    "choice": ("scalekit.fitters.choice", "Choice"),
    "fit": ("scalekit.fitters.fitted", "Fit"),
    "many_fits": ("scalekit.fitters.many", "ManyFits"),
    "prediction": ("scalekit.fitters.prediction", "Prediction"),
    "profile": ("scalekit.fitters.profiles", "Profile"),
    "roll_out": ("scalekit.fitters.heldout", "RollOut"),
    "mixture": ("scalekit.selectors.mixtures.mixture_choice", "MixtureChoice"),
    "mixture_fit": ("scalekit.selectors.mixtures.mixture_fit", "MixtureFit"),
    "pilot_plan": ("scalekit.selectors.mixtures.pilot_plan", "PilotPlan"),
    "schedule": ("scalekit.selectors.mixtures.schedule", "Schedule"),
    "runs": ("scalekit.tables", "RunTable"),
    "comparison": ("scalekit.fitters.comparison", "Comparison"),
    "crossover": ("scalekit.fitters.crossover", "Crossover"),
    "verdicts": ("scalekit.fitters.verdicts", "Verdicts"),
    "frontier": ("scalekit.fitters.frontier_result", "Frontier"),
    "isoflop": ("scalekit.fitters.isoflop_result", "Isoflops"),
    "envelope": ("scalekit.fitters.envelopes", "Envelope"),
    "plan": ("scalekit.fitters.plan", "Plan"),
    "evals": ("scalekit.evals.table", "Evals"),
    "benchmark_variance": ("scalekit.evals.variance", "BenchmarkVariance"),
    "model_comparison": ("scalekit.evals.model_comparison", "ModelComparison"),
    "power": ("scalekit.evals.power", "PowerTable"),
    "signal": ("scalekit.evals.signal_report", "SignalReport"),
    "distance": ("scalekit.selectors.transport.measure", "Distance"),
    "mixture_survey": ("scalekit.selectors.transport.survey", "MixtureSurvey"),
    "closest_mixture": ("scalekit.selectors.transport.closest", "ClosestMixture"),
    "projection": ("scalekit.selectors.mixtures.projection", "Projection"),
    "projected_mixture": ("scalekit.selectors.mixtures.projecting.choice", "ProjectedMixture"),
    "scores": ("scalekit.selectors.scores.table", "ScoreTable"),
}


def load(path: str | Path) -> Result:
    """Return the result that `result.save(path)` wrote to a .json file.

    Raises OutputError where the file is missing, damaged or of an unknown kind.
    """
    values, arrays = read_saved(path)
    kind = values["kind"]
    if kind not in KINDS:
        raise OutputError(f"{path} holds a result of kind '{kind}'. {did_you_mean(kind, KINDS)}")
    module, name = KINDS[kind]
    result: Result = getattr(importlib.import_module(module), name).restore(values, arrays)
    return result
