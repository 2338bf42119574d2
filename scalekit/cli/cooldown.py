"""`scalekit cooldown`: from counts, or from a chosen mixture, to a sampling schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import Json, Output, deliver, handled
from scalekit.errors import InputError


@handled
def cooldown(
    counts: Annotated[Path, typer.Argument(help="CSV with source,count.")],
    start: Annotated[float, typer.Option(help="Temperature at the start.")] = 5.0,
    end: Annotated[float, typer.Option(help="Temperature after the switch.")] = 1.0,
    switch: Annotated[float, typer.Option(help="When to switch, as a fraction of training.")] = 0.5,
    dense: Annotated[bool, typer.Option("--dense", help="Twenty steps instead of one.")] = False,
    temperature: Annotated[
        float | None, typer.Option(help="Instead, one temperature all the way.")
    ] = None,
    unimax: Annotated[
        float | None, typer.Option(help="Instead, UniMax with so many epochs; needs --budget.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="How much is drawn in all, e.g. 1T.")] = None,
    mixture: Annotated[
        Path | None,
        typer.Option(help="End in the mixture that `scalekit mix -o FILE.json` wrote."),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Print the configuration of a trainer: megatron or olmo.")
    ] = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Make a sampling schedule (Cooldown, one temperature, UniMax), with epochs of each source."""
    from scalekit.selectors.mixtures import schedules

    if temperature is not None and unimax is not None:
        raise InputError("Give --temperature or --unimax, not both.")
    if mixture is not None and (temperature is not None or unimax is not None):
        raise InputError("--mixture goes with a cooldown; leave --temperature and --unimax out.")
    if unimax is not None:
        if budget is None:
            raise InputError("--unimax needs --budget: how much is drawn in all.")
        made = schedules.unimax(counts, budget, unimax)
    elif temperature is not None:
        made = schedules.temperature(counts, temperature, budget=budget)
    else:
        made = schedules.cooldown(
            counts, start, end, switch=switch, dense=dense, budget=budget,
            mixture=_shares(mixture),
        )  # fmt: skip
    if config is not None:
        typer.echo(made.config(config).rstrip())
        return
    deliver(made, as_json, output)


def _shares(path: Path | None) -> dict[str, float] | None:
    if path is None:
        return None
    from scalekit.loading import load
    from scalekit.selectors.mixtures.mixture_choice import MixtureChoice

    chosen = load(path)
    if not isinstance(chosen, MixtureChoice):
        raise InputError(f"{path} holds a result of kind '{chosen.kind}', not a mixture. Give the "
                         "file that `scalekit mix -o FILE.json` wrote.")  # fmt: skip
    return chosen.shares
