"""The catalogue of laws: one entry a law, with its formula, domain and source.

Users write their own in the same way: `Law("mine", "E + A / params**alpha")`. What an entry does
not say of its parameters is inferred from its formula (see `scalekit.fitters.law`). Laws of one
scale write it `x`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from scalekit.errors import FormulaError, did_you_mean
from scalekit.fitters.expressions import names_in
from scalekit.fitters.formula import parse
from scalekit.fitters.law import SCALES, Law
from scalekit.fitters.model import Parameter


def _exponent(name: str, low: float = 0.02, high: float = 1.2, upper: float = 10.0) -> Parameter:
    return Parameter(name, 0.0, upper, (low, high))


def _breaks(count: int) -> Law:
    """Return the broken neural scaling law with `count` breaks, in its overflow-free form."""
    factors = "".join(
        f" * exp(-c{i} * f{i} * softplus(log(x / d{i}) / f{i}))" for i in range(1, count + 1)
    )
    parameters = [_exponent("c0", 0.0, 1.0)]
    for i in range(1, count + 1):
        parameters += [
            Parameter(f"c{i}", -10.0, 10.0, (-0.6, 1.2)),
            Parameter(f"d{i}", start=(0.05, 1.0), log=True, scale="x"),
            Parameter(f"f{i}", 0.01, 10.0, (0.05, 2.0), log=True),
        ]
    return Law(
        f"bnsl{count}",
        f"E + b * x**(-c0){factors}",
        "Caballero et al. 2022, arXiv:2210.14891 eq. 1",
        f"one scale, {count} smooth break(s); needs at least {3 * count + 4} runs on both sides",
        parameters=tuple(parameters),
    )


_LCDB = "Viering & Loog 2022, arXiv:2103.10948 table 1 (LCDB)"
_CATALOGUE = (
    Law("power", "A / x**alpha", "Hestness et al. 2017, arXiv:1712.00409 section 3",
        "one scale, far from the irreducible loss", parameters=(_exponent("alpha"),)),
    Law("power_constant", "E + A / x**alpha", "Henighan et al. 2020, arXiv:2010.14701 eq. 1.1",
        "one scale; the default of one-scale fits", parameters=(_exponent("alpha"),)),
    Law("shifted_power", "E + A / (x + x0)**alpha", "Bachmann et al. 2023, arXiv:2306.13575 eq. 1",
        "one scale, flat at small scales", parameters=(
            _exponent("alpha"), Parameter("x0", start=(-0.3, 1.0), log=True, scale="x"))),
    Law("m3", "b * (1 / x + g)**c", "Alabdulmohsin et al. 2022, arXiv:2209.06640 eq. 4",
        "one scale, saturates at large scales", parameters=(
            _exponent("c"), Parameter("g", start=(-0.5, 1.0), log=True, scale="x", inverse=True))),
    Law("m4", "log(loss - E) - a * log(I - loss) - log(b) + c * log(x)",
        "Alabdulmohsin et al. 2022, arXiv:2209.06640 eq. 5",
        "one scale, saturates at both ends (E large, I small scales)", parameters=(
            Parameter("E", start=(0.0, 0.98), scale="smallest_loss"),
            Parameter("a", 0.0, 20.0, (0.0, 2.0)),
            Parameter("I", start=(1.02, 3.0), log=True, scale="largest_loss"),
            Parameter("b", log=True), _exponent("c")),
        between=("E", "I")),
    _breaks(1), _breaks(2), _breaks(3),
    Law("kaplan", "((Nc / params)**(alpha_N / alpha_D) + Dc / tokens)**alpha_D",
        "Kaplan et al. 2020, arXiv:2001.08361 eq. 1.5",
        "params without embeddings, early-stopped loss", parameters=(
            Parameter("Nc", start=(0.5, 4.0), log=True, scale="params"),
            Parameter("Dc", start=(0.5, 4.0), log=True, scale="tokens"),
            Parameter("alpha_N", 1e-3, 10.0, (0.03, 0.6)),
            Parameter("alpha_D", 1e-3, 10.0, (0.03, 0.6)))),
    Law("chinchilla", "E + A / params**alpha + B / tokens**beta",
        "Hoffmann et al. 2022, arXiv:2203.15556 eq. 10", "params and tokens, no repeated data",
        parameters=(_exponent("alpha"), _exponent("beta"))),
    Law("chinchilla_tied", "E + A / params**alpha + B / tokens**alpha",
        "Muennighoff et al. 2023, arXiv:2305.16264 appendix A (alpha = beta)",
        "params and tokens, where one decade of either cannot tell two exponents apart",
        parameters=(_exponent("alpha"),)),
    Law("gadre", "E + lambda_N / params**eta + lambda_M * 6**(-eta / 2) / tokens**eta",
        "Gadre et al. 2024, arXiv:2403.08540 eq. 4 (in their code's parameters)",
        "params and tokens, over-training at fixed tokens per parameter",
        parameters=(_exponent("eta"),)),
    Law("repeated_data",
        "E + A / n_eff**alpha + B / d_eff**beta; "
        "n_eff = n_used - n_used * R_N * expm1(-(params / n_used - 1) / R_N); "
        "d_eff = d_used - d_used * R_D * expm1(-(tokens / d_used - 1) / R_D); "
        "n_used = minimum(params, (d_used * G)**(beta / alpha) * G); "
        "d_used = minimum(tokens, unique_tokens); "
        "G = (alpha * A / (beta * B))**(1 / (alpha + beta))",
        "Muennighoff et al. 2023, arXiv:2305.16264 eqs. 5-6",
        "params, tokens and unique_tokens: data seen more than once", parameters=(
            Parameter("A", start=(20.0, 5000.0), log=True),
            Parameter("B", start=(20.0, 20000.0), log=True),
            Parameter("alpha", 1e-3, 10.0, (0.1, 0.8)), Parameter("beta", 1e-3, 10.0, (0.1, 0.8)),
            Parameter("R_N", 1e-2, 1e8, (0.5, 500.0), log=True),
            Parameter("R_D", 1e-2, 1e8, (0.5, 500.0), log=True))),
    Law("exponential", "E + A * exp(-x / x0)", f"{_LCDB}: exp3", "training time near convergence",
        parameters=(Parameter("x0", start=(-0.3, 1.0), log=True, scale="x"),)),
    Law("log_power", "A / (1 + (x / x0)**alpha)", f"{_LCDB}: logpower3 with x0 = exp(b)",
        "learning curves that start at a plateau", parameters=(
            _exponent("alpha"), Parameter("x0", start=(-0.3, 1.0), log=True, scale="x"))),
    Law("lcdb_log2", "a - b * log(x)", f"{_LCDB}: log2", "learning curves, short range"),
    Law("lcdb_ilog2", "E + a / log(x)", f"{_LCDB}: ilog2", "learning curves, x > 1"),
    Law("lcdb_exp2", "A * exp(-x / x0)", f"{_LCDB}: exp2", "learning curves",
        parameters=(Parameter("x0", start=(-0.3, 1.3), log=True, scale="x"),)),
    Law("lcdb_exp4", "E + A * exp(-(x / x0)**alpha)", f"{_LCDB}: exp4 and wbl4", "learning curves",
        parameters=(_exponent("alpha"),
                    Parameter("x0", start=(-0.3, 1.0), log=True, scale="x"))),
    Law("lcdb_expp3", "E + exp(-(x / x0)**alpha)", f"{_LCDB}: expp3, in loss form",
        "learning curves of an error rate", parameters=(
            _exponent("alpha"), Parameter("x0", start=(-0.3, 1.0), log=True, scale="x"))),
    Law("lcdb_lin2", "a - b * x", f"{_LCDB}: lin2", "learning curves, very short range"),
    Law("lcdb_vap3", "exp(a + b / x + c * log(x))", f"{_LCDB}: vap3", "learning curves",
        parameters=(Parameter("a", -50.0, 50.0, (-5.0, 5.0)),
                    Parameter("b", -1e12, 1e12, (-10.0, 10.0)),
                    Parameter("c", -10.0, 10.0, (-1.0, 0.5)))),
    Law("lcdb_mmf4", "(I + E * (x / x0)**alpha) / (1 + (x / x0)**alpha)", f"{_LCDB}: mmf4",
        "learning curves between two plateaus", parameters=(
            _exponent("alpha"), Parameter("x0", start=(-0.3, 1.0), log=True, scale="x"))),
)  # fmt: skip

CATALOGUE: dict[str, Law] = {law.name: law for law in _CATALOGUE}
ALIASES = {"hoffmann": "chinchilla", "bnsl": "bnsl1", "saturation": "shifted_power",
           "m1": "power", "m2": "power_constant", "lcdb_pow2": "power",
           "lcdb_pow3": "power_constant", "lcdb_pow4": "shifted_power",
           "lcdb_exp3": "exponential", "lcdb_expd3": "exponential",
           "lcdb_wbl4": "lcdb_exp4", "lcdb_logpower3": "log_power"}  # fmt: skip


def laws() -> tuple[Law, ...]:
    """Return the laws of the catalogue.

    >>> "chinchilla" in [law.name for law in laws()]
    True
    """
    return tuple(CATALOGUE.values())


def as_law(law: str | Law, columns: Iterable[str] = ()) -> Law:
    """Return `law` as a Law: a catalogue name, an alias, or a formula over `columns` and scales.

    Raises FormulaError for a name that is not in the catalogue and for a formula that names what
    looks like a column, but is none.
    """
    if isinstance(law, Law):
        return law
    name = ALIASES.get(law, law)
    if name in CATALOGUE:
        return CATALOGUE[name]
    if law.replace("_", "").isalnum():
        raise FormulaError(
            f"There is no law '{law}'. {did_you_mean(law, CATALOGUE)} "
            "Or write a formula, such as 'E + A / params**alpha'."
        )
    columns = [str(column) for column in columns]
    names = names_in(parse(law))
    scales = tuple(s for s in dict.fromkeys((*SCALES, *columns)) if s in names and s != "loss")
    for parameter in sorted(names - set(scales)):
        near = difflib.get_close_matches(parameter, [*SCALES[:-1], *columns], n=1, cutoff=0.8)
        if near:
            raise FormulaError(
                f"The formula '{law}' names '{parameter}', which is no column. Did you mean "
                f"'{near[0]}'? If it is a parameter, give it a name less like a column's."
            )
    return Law("formula", law, "given by the user", scales=scales)
