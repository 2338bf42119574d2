"""scalekit: decide what to train before you can afford to train it.

Public names are resolved on first use (PEP 562), so `import scalekit` loads nothing heavy.
"""

from __future__ import annotations

from scalekit.lazy import names_on_use
from scalekit.version import __version__

# public name -> the module that holds it; one line a name, sorted by room
_PUBLIC = {
    # ground
    "ScalekitError": "scalekit.errors",
    "load": "scalekit.loading",
    # data
    "read_runs": "scalekit.data",
    "example_runs": "scalekit.data",
    # fitters
    "Law": "scalekit.fitters",
    "Parameter": "scalekit.fitters",
    "PowerLawRegressor": "scalekit.fitters.sklearn_api",
    "choose_law": "scalekit.fitters",
    "fit": "scalekit.fitters",
    "fit_many": "scalekit.fitters",
    "roll_out": "scalekit.fitters",
    "laws": "scalekit.fitters.laws",
    "published": "scalekit.fitters.published",
    "allocation_approaches": "scalekit.fitters.approaches",
    "compare": "scalekit.fitters.comparing",
    "compare_across": "scalekit.fitters.verdicts",
    "envelope": "scalekit.fitters.envelopes",
    "isoflop": "scalekit.fitters.isoflops",
    "next_runs": "scalekit.fitters.planning",
    # evals
    "benchmark_variance": "scalekit.evals",
    "compare_models": "scalekit.evals",
    "example_evals": "scalekit.evals",
    "noise_weights": "scalekit.evals",
    "power": "scalekit.evals",
    "read_evals": "scalekit.evals",
    "signal": "scalekit.evals",
    # selectors
    "distance": "scalekit.selectors.transport",
    "mixture_transport": "scalekit.selectors.transport",
    "project": "scalekit.selectors.mixtures.projecting.fitting",
    "fit_mixture": "scalekit.selectors.mixtures",
    "mixing_laws": "scalekit.selectors.mixtures",
    "cooldown": "scalekit.selectors.mixtures",
    "temperature": "scalekit.selectors.mixtures",
    "unimax": "scalekit.selectors.mixtures",
    # selectors: what to keep
    "agreement": "scalekit.selectors.agreement",
    "alternate": "scalekit.selectors.agreement",
    "curriculum": "scalekit.selectors.curriculum",
    "k_center": "scalekit.selectors.prototypes",
    "mislabelled": "scalekit.selectors.agreement",
    "near_duplicates": "scalekit.selectors.prototypes",
    "pacing": "scalekit.selectors.curriculum",
    "perceptron": "scalekit.selectors.pruning_theory",
    "prototypes": "scalekit.selectors.prototypes",
    "prune": "scalekit.selectors.pruning",
    "pruning_frontier": "scalekit.selectors.pruning",
    "transferability": "scalekit.selectors.transferability",
    # selectors: scores
    "Recorder": "scalekit.selectors.scores",
    "gradient_coherence": "scalekit.selectors.scores",
    "open_scores": "scalekit.selectors.scores",
    "read_dynamics": "scalekit.selectors.scores",
    "score": "scalekit.selectors.scores",
    "scores": "scalekit.selectors.scores",
}

__all__ = ["__version__", *_PUBLIC]
__getattr__ = names_on_use(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return sorted(__all__)
