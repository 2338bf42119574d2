"""`scalekit project`: what a mixture will reach at a larger size, and which one to take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalekit.cli.common import (
    Json,
    Level,
    Output,
    Seed,
    deliver,
    handled,
    parse_number,
    parse_scales,
    parse_shares,
)
from scalekit.cli.transport import Sources, read_sources


@handled
def project(
    pilots: Annotated[Path, typer.Argument(help="Pilot runs: shares, samples, metric (.csv).")],
    source: Sources,
    validation: Annotated[
        Path, typer.Option("--validation", "-v", help="Feature file of the validation set.")
    ],
    samples: Annotated[
        str | None, typer.Option(help="Choose the mixture at this many samples (1e6, 4k).")
    ] = None,
    cap: Annotated[
        str | None, typer.Option(help="Most samples of a source: name=4e5,name=...")
    ] = None,
    prior: Annotated[
        str | None, typer.Option(help="The mixture otherwise taken: name=0.5,name=0.5.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Column of the metric.")] = None,
    higher_is_better: Annotated[
        bool | None,
        typer.Option(
            "--higher-is-better/--lower-is-better", help="Where the metric's name does not say."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option(help="surface, or as published: projektor, projektor_notebook.")
    ] = "surface",
    level: Level = 0.95,
    seed: Seed = 0,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Project a metric to any mixture and size; with --samples, choose the mixture."""
    from scalekit.selectors.mixtures.projecting.fitting import project as fit_projection

    size = None if samples is None else parse_number(samples, "--samples")
    caps, shares = parse_scales(cap, "--cap"), parse_shares(prior, "--prior")
    plan = fit_projection(
        read_sources(source), validation, pilots, metric=metric,
        higher_is_better=higher_is_better, form=form, confidence_level=level, rng=seed,
    )  # fmt: skip
    if samples is None and cap is None and prior is None:
        deliver(plan, as_json, output)
        return
    deliver(plan.choose(size, caps, shares or None), as_json, output)
