"""Rules of parameters outside layers that are broadcast over the batch: scales, tokens, places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.selectors.scores.normalisations import sum_to
from scalekit.selectors.scores.uses import DenseUse

if TYPE_CHECKING:
    from torch import Tensor

    from scalekit.selectors.scores.tape import Tape


def multiply(tape: Tape, left: Any, right: Any) -> Any:
    """Intercept a product of activations with one parameter that is broadcast over the batch."""
    return broadcast(tape, left, right, True)


def add(tape: Tape, left: Any, right: Any) -> Any:
    """Intercept a sum of activations and one parameter that is broadcast over the batch."""
    return broadcast(tape, left, right, False)


def broadcast(tape: Tape, left: Any, right: Any, product: bool) -> Any:
    """Put left * right, or left + right, on tape, where exactly one of them is a parameter."""
    import torch

    if tape.owns(left) == tape.owns(right):
        return NotImplemented
    parameter, other = (left, right) if tape.owns(left) else (right, left)
    if not isinstance(other, torch.Tensor) or other.dim() < 1:
        return NotImplemented
    shape = tuple(parameter.shape)
    if parameter.dim() == other.dim():
        if shape[0] != 1:
            return NotImplemented
        shape = shape[1:]
    layout = tape.layout((parameter,), other.shape) if len(shape) < other.dim() else None
    out = torch.broadcast_shapes(parameter.shape, other.shape)
    if layout != "first" or out != other.shape:
        return NotImplemented
    values = tape.detached(parameter)
    y = other * values if product else other + values
    factor = other.detach()

    def gradient(g: Tensor) -> Tensor:
        whole = sum_to(g * factor if product else g, shape)
        return whole.reshape(len(g), *(parameter.shape or (1,)))  # a scalar keeps an axis

    return tape.record(y, [DenseUse(tape.name(parameter), gradient)], layout)


def expand(tape: Tape, parameter: Tensor, *sizes: Any) -> Any:
    """Intercept a parameter [1, ...] repeated for each example (class tokens, queries)."""
    if not tape.owns(parameter) or parameter.dim() == 0 or parameter.shape[0] != 1:
        return NotImplemented
    y = tape.detached(parameter).expand(*sizes)
    if y.dim() != parameter.dim() or tape.layout((parameter,), y.shape) != "first":
        return NotImplemented
    shape = tuple(parameter.shape[1:])
    use = DenseUse(
        tape.name(parameter), lambda g: sum_to(g, shape).reshape(len(g), *parameter.shape)
    )
    return tape.record(y.contiguous(), [use], "first")
