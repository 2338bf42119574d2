"""`scalekit predict`: the loss at a scale, from a saved fit or a published law."""

from __future__ import annotations

from typing import Annotated

import typer

from scalekit.cli.common import Json, Level, Output, deliver, handled, no_fit
from scalekit.cli.fit import At, table_of_scales
from scalekit.errors import InputError


@handled
def predict(
    source: Annotated[
        str,
        typer.Argument(
            help="What `scalekit fit` or `scalekit choose-law` saved (-o fit.json), or "
            "published:NAME."
        ),
    ],
    at: At = None,
    level: Level = 0.95,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Predict the loss at scales, from a saved fit or a published law."""
    from scalekit.fitters.choice import Choice
    from scalekit.fitters.fitted import Fit
    from scalekit.fitters.published import published
    from scalekit.loading import load

    if not at:
        raise InputError("Say where to predict: --at params=70e9,tokens=1.4T.")
    asked = table_of_scales(at)
    if source.startswith("published:"):
        deliver(published(source).predict(asked), as_json, output)
        return
    found = load(source)
    if not isinstance(found, (Fit, Choice)):
        raise no_fit(source, found)
    deliver(found.predict(asked, confidence_level=level), as_json, output)
