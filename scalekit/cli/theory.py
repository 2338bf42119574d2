"""`scalekit theory pruning`: what theory says of keeping hard or easy examples."""

from __future__ import annotations

from typing import Annotated

import typer

from scalekit.cli.common import Json, Output, deliver, handled
from scalekit.errors import InputError, did_you_mean

THEORIES = ("pruning",)


@handled
def theory(
    about: Annotated[str, typer.Argument(help="Which theory: pruning.")],
    examples: Annotated[
        str, typer.Option(help="Examples a dimension before pruning; several by commas.")
    ] = "1,2,4,8,16",
    keep: Annotated[str, typer.Option(help="Share kept; several by commas.")] = "0.5",
    angle: Annotated[float, typer.Option(help="How far the scores are off, in degrees.")] = 0.0,
    side: Annotated[str, typer.Option(help="hard, easy or random.")] = "hard",
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Errors of the teacher-student perceptron on pruned examples (-o draws or writes them)."""
    import numpy as np

    from scalekit.selectors.pruning_theory import perceptron

    if about not in THEORIES:
        raise InputError(f"There is no theory of '{about}'. {did_you_mean(about, THEORIES)}")
    total, share = np.meshgrid(_numbers(examples, "--examples"), _numbers(keep, "--keep"))
    deliver(perceptron(total, share, np.radians(angle), side), as_json, output)


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} takes numbers separated by commas; got '{text}'.") from None
