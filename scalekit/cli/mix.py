"""`scalekit mix`: from a table of pilot runs to a defended mixture."""

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
    parse_pairs,
    parse_scales,
    parse_shares,
)


@handled
def mix(
    pilots: Annotated[Path, typer.Argument(help="CSV with a row for each pilot run.")],
    shares: Annotated[
        str | None,
        typer.Option(help="Share columns or patterns, by comma (default: share_*)."),
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Loss columns or patterns, by comma (default: loss_*).")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weight of each target: name=weight,... (default: equal).")
    ] = None,
    scales: Annotated[
        str | None, typer.Option(help="Columns of scale, such as params,tokens.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Scales of the large run: params=7B,tokens=1T.")
    ] = None,
    law: Annotated[
        str, typer.Option(help="Mixing law, several by comma, or auto (cross-validated).")
    ] = "additive",
    counts: Annotated[
        Path | None, typer.Option(help="CSV with source,count: how much there is of each source.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="How much is drawn in all, e.g. 1T.")] = None,
    max_epochs: Annotated[
        float | None, typer.Option("--max-epochs", help="Times a source may be seen at most.")
    ] = None,
    repeat_value: Annotated[
        float | None,
        typer.Option("--repeat-value", help="What repeated data is worth (published: 15.39)."),
    ] = None,
    cap: Annotated[
        str | None,
        typer.Option(help="Largest shares of sources or groups: web=0.5,..., or a CSV of them."),
    ] = None,
    minimum: Annotated[
        str | None, typer.Option(help="Smallest shares: math=0.05,..., or a CSV.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Groups: code=github+stack,...")] = None,
    prior: Annotated[
        str | None,
        typer.Option(help="Mixture to compare with and, with --kl, to stay near; or a CSV."),
    ] = None,
    kl: Annotated[float, typer.Option(help="Pull towards the prior (Olmix: 0.05).")] = 0.0,
    fit_only: Annotated[
        bool, typer.Option("--fit-only", help="Stop after the fit: how good is the law?")
    ] = False,
    next_pilots: Annotated[
        int, typer.Option("--next", help="Instead, say which mixtures to run next.")
    ] = 0,
    seed: Seed = 0,
    level: Level = 0.95,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Fit a mixing law to pilot runs and choose the mixture of least predicted loss.

    Sources are matched by name everywhere. -o mixture.json is read by `scalekit cooldown`.
    """
    from scalekit.selectors.mixtures import fit_mixture

    names = law.split(",") if "," in law else law
    fitted = fit_mixture(
        pilots,
        shares=_listed(shares),
        targets=_listed(targets),
        scales=_listed(scales) or (),
        law=names,
        target_weights=_fractions(weights, "weights"),
        confidence_level=level,
        rng=seed,
    )
    if fit_only:
        deliver(fitted, as_json, output)
        return
    limits = {
        "caps": _fractions(cap, "cap"),
        "minimum": _fractions(minimum, "minimum"),
        "groups": {name: members.split("+") for name, members in
                   parse_pairs(group, "--group").items()},
        "available": counts,
        "budget": budget,
        "max_epochs": max_epochs,
        "repeat_value": repeat_value,
        "prior": _fractions(prior, "prior"),
        "kl": kl,
        "at": parse_scales(at) or None,
        "rng": seed,
    }  # fmt: skip
    result = fitted.next_pilot(next_pilots, **limits) if next_pilots else fitted.choose(**limits)
    deliver(result, as_json, output)


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _fractions(text: str | None, option: str) -> dict[str, float] | None:
    """Return the numbers that "name=value,..." or a CSV with `source` and the option says."""
    if text and "=" not in text and Path(text).suffix:
        from scalekit.selectors.mixtures.counts import read_fractions

        return read_fractions(text, option)
    return parse_shares(text, f"--{option}") or None
