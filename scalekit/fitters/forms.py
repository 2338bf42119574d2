"""The candidates that compete by default, and how users name their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.fitters.candidates import Candidate
from scalekit.fitters.law import Law
from scalekit.fitters.laws import as_law
from scalekit.fitters.model import Parameter
from scalekit.tables import RunTable

ONE_SCALE = ("power", "power_constant", "shifted_power", "m3", "lcdb_mmf4", "bnsl1")
TRIMMINGS = (0.0, 0.4)
HORIZON = 4.0


def _free(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, -np.inf, np.inf, (-0.5, 0.5)) for name in names)


# candidates of params and tokens that the catalogue of published laws does not have
UNDERTRAINED = Law(
    "undertrained",
    "E + A / params**alpha + B / tokens**alpha + G * (params / tokens)**gamma",
    "chinchilla_tied with a term for runs with too few tokens per parameter",
    "params and tokens, isoFLOP tables that reach far from the optimum",
    parameters=(Parameter("gamma", 0.0, 10.0, (0.3, 2.0)),),
)
NO_CONSTANT = Law(
    "no_constant",
    "A / params**alpha + B / tokens**beta",
    "chinchilla without its irreducible loss",
    "params and tokens, far from the irreducible loss",
)
SURFACE = Law(
    "log_quadratic",
    "exp(a + b * log(params) + c * log(tokens) + d * log(params)**2"
    " + e * log(params) * log(tokens) + f * log(tokens)**2)",
    "response surface of second order, Box & Wilson 1951",
    "params and tokens, isoFLOP tables; bends back far out",
    parameters=_free("a", "b", "c", "d", "e", "f"),
)
TWO_SCALES = (as_law("chinchilla"), as_law("chinchilla_tied"), UNDERTRAINED, NO_CONSTANT, SURFACE)


def candidates_for(
    runs: RunTable | pd.DataFrame | Mapping[str, Any],
    laws: str | Law | Sequence[str | Law] | None,
    along: str,
    trimmings: float | Sequence[float],
) -> list[Candidate]:
    """Return the candidates: each law without each of the shares of the smallest runs."""
    laws = [laws] if isinstance(laws, str | Law) else laws
    trimmings = [trimmings] if isinstance(trimmings, int | float) else trimmings
    columns = set(map(str, runs.frame if isinstance(runs, RunTable) else runs))
    if laws is None:
        two = {"params", "tokens"} <= columns
        forms = list(TWO_SCALES) if two else [as_law(name).along(along) for name in ONE_SCALE]
    else:
        forms = list({(law.name, law.formula): law for law in
                      (as_law(law, columns).along(along) for law in laws)}.values())  # fmt: skip
    names = [form.name for form in forms]
    # two formulas are told apart by what they say
    forms = [replace(form, name=form.formula) if names.count(form.name) > 1 else form
             for form in forms]  # fmt: skip
    if not forms:
        raise InputError("laws is empty. Name at least one, or leave it out for the usual ones.")
    if any(set(form.scales) != set(forms[0].scales) for form in forms):
        shown = "; ".join(f"{form.name}: {', '.join(form.scales)}" for form in forms)
        raise InputError(f"Laws that are to be combined must depend on the same scales ({shown}).")
    wrong = [share for share in trimmings if not 0 <= share < 0.9]
    if wrong or not trimmings:
        raise InputError(
            f"trimmings are shares of the smallest runs from 0 to 0.9; got {trimmings}."
        )
    return [Candidate(form, share) for share in dict.fromkeys(trimmings) for form in forms]
