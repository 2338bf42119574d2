"""How far one data set is from another: exact, entropic and sliced optimal transport.

Names are resolved on first use, so that importing the package loads neither torch nor POT.
"""

from __future__ import annotations

from scalekit.lazy import names_on_use

_PUBLIC = {
    "Sample": "scalekit.selectors.transport.samples",
    "as_sample": "scalekit.selectors.transport.samples",
    "feature_cost": "scalekit.selectors.transport.cost",
    "label_cost": "scalekit.selectors.transport.cost",
    "class_distances": "scalekit.selectors.transport.cost",
    "label_histogram_distance": "scalekit.selectors.transport.cost",
    "solve_exact": "scalekit.selectors.transport.exact",
    "solve_entropic": "scalekit.selectors.transport.entropic",
    "sinkhorn_divergence": "scalekit.selectors.transport.entropic",
    "EntropicMixtures": "scalekit.selectors.transport.batched",
    "sliced_wasserstein": "scalekit.selectors.transport.sliced",
    "distance": "scalekit.selectors.transport.measure",
    "Distance": "scalekit.selectors.transport.measure",
    "estimate_cost": "scalekit.selectors.transport.budget",
    "mixture_transport": "scalekit.selectors.transport.mixture",
    "MixtureTransport": "scalekit.selectors.transport.mixture",
    "MixtureSurvey": "scalekit.selectors.transport.survey",
    "ClosestMixture": "scalekit.selectors.transport.closest",
}

__all__ = list(_PUBLIC)
__getattr__ = names_on_use(__name__, _PUBLIC)
