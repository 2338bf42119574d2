"""Data mixtures: laws, the choice under limits, schedules. Names are resolved on first use."""

from __future__ import annotations

from scalekit.lazy import names_on_use

_PUBLIC = {
    "MixtureChoice": "mixture_choice",
    "MixtureFit": "mixture_fit",
    "MixtureSampler": "sampling",
    "PilotPlan": "pilot_plan",
    "Schedule": "schedule",
    "choose": "choosing",
    "cooldown": "schedules",
    "dilution": "diluting",
    "effective_share": "repeats",
    "extrapolate_amounts": "across_scales",
    "fit_mixture": "fitting",
    "mixing_laws": "catalogue",
    "mixture_between_components": "diluting",
    "next_pilots": "next_runs",
    "phases": "schedules",
    "plot_ternary": "pictures",
    "temperature": "schedules",
    "unimax": "schedules",
}

__all__ = list(_PUBLIC)
__getattr__ = names_on_use(__name__, _PUBLIC)
