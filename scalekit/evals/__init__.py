"""Benchmarks: which differences are real, which metric can be trusted, what would settle it."""

from scalekit.evals.adjust import benjamini_hochberg, holm
from scalekit.evals.aggregates import aggregate, iqm, probability_of_improvement
from scalekit.evals.components import crossed_components
from scalekit.evals.crossed import crossed_difference
from scalekit.evals.decisions import decision_accuracy, implied_decision_accuracy
from scalekit.evals.examples import example_evals
from scalekit.evals.items import fit_item_response, item_table
from scalekit.evals.model_comparison import ModelComparison
from scalekit.evals.monotonicity import monotonicity
from scalekit.evals.paired import compare_models
from scalekit.evals.planning import NoiseModel, items_needed
from scalekit.evals.power import PowerTable, power
from scalekit.evals.reading import read_evals
from scalekit.evals.signal_report import SignalReport
from scalekit.evals.signal_to_noise import signal
from scalekit.evals.standard_errors import (
    f1_standard_error,
    item_variance,
    mean_interval,
    sd_interval,
    wilson_interval,
)
from scalekit.evals.step_noise import step_noise
from scalekit.evals.table import Evals
from scalekit.evals.variance import BenchmarkVariance, benchmark_variance
from scalekit.evals.weights import noise_weights
from scalekit.moderation import moderate

__all__ = [
    "BenchmarkVariance",
    "Evals",
    "ModelComparison",
    "NoiseModel",
    "PowerTable",
    "SignalReport",
    "aggregate",
    "benchmark_variance",
    "benjamini_hochberg",
    "compare_models",
    "crossed_components",
    "crossed_difference",
    "decision_accuracy",
    "example_evals",
    "f1_standard_error",
    "fit_item_response",
    "holm",
    "implied_decision_accuracy",
    "iqm",
    "item_table",
    "item_variance",
    "items_needed",
    "mean_interval",
    "moderate",
    "monotonicity",
    "noise_weights",
    "power",
    "probability_of_improvement",
    "read_evals",
    "sd_interval",
    "signal",
    "step_noise",
    "wilson_interval",
]
