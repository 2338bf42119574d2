"""Rules of the normalising layers: y = normalised(x) * weight + bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalekit.errors import InputError
from scalekit.selectors.scores.convolutions import precise
from scalekit.selectors.scores.uses import DenseUse, Use

if TYPE_CHECKING:
    from torch import Tensor

    from scalekit.selectors.scores.tape import Tape


def normalisation(
    tape: Tape,
    y: Tensor,
    normalised: Callable[[], Tensor],
    reduce: Callable[[Tensor], Tensor],
    weight: Tensor | None,
    bias: Tensor | None,
    layout: str,
) -> Tensor:
    """Put y = normalised * weight + bias on tape; `reduce` sums to the parameter's shape."""
    uses = []
    if tape.owns(weight):
        uses.append(
            DenseUse(tape.name(weight),
                     lambda g: reduce(g * tape.batch_first(normalised(), layout).to(g.dtype)))
        )  # fmt: skip
    if tape.owns(bias):
        uses.append(DenseUse(tape.name(bias), reduce))
    return tape.record(y, uses, layout)


def layer_norm(
    tape: Tape,
    input: Tensor,  # noqa: A002
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    """Intercept layer_norm."""
    from torch.nn import functional

    layout = tape.layout((weight, bias), input.shape)
    if layout is None:
        return NotImplemented
    shape = tuple(normalized_shape)
    y = functional.layer_norm(input, shape, tape.detached(weight), tape.detached(bias), eps)
    x = input.detach()
    return normalisation(
        tape, y, lambda: functional.layer_norm(x, shape, None, None, eps),
        lambda g: sum_to(g, shape), weight, bias, layout,
    )  # fmt: skip


def rms_norm(
    tape: Tape,
    input: Tensor,  # noqa: A002
    normalized_shape: Any,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    """Intercept rms_norm."""
    from torch.nn import functional

    layout = tape.layout((weight,), input.shape)
    if layout is None:
        return NotImplemented
    shape = tuple(normalized_shape)
    y = functional.rms_norm(input, shape, tape.detached(weight), eps)
    x = input.detach()
    return normalisation(
        tape, y, lambda: functional.rms_norm(x, shape, None, eps),
        lambda g: sum_to(g, shape), weight, None, layout,
    )  # fmt: skip


def group_norm(
    tape: Tape,
    input: Tensor,  # noqa: A002
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    """Intercept group_norm."""
    import torch

    layout = tape.layout((weight, bias), input.shape)
    if layout != "first":
        return NotImplemented
    if torch.is_autocast_enabled(input.device.type):  # as autocast does for a group norm
        input = input.float()  # noqa: A001
    n, channels = input.shape[:2]
    y, mean, scale = torch.native_group_norm(
        input.contiguous(), tape.detached(weight), tape.detached(bias),
        n, channels, input[0, 0].numel(), num_groups, eps,
    )  # fmt: skip
    centre, scale = (v.detach().repeat_interleave(channels // num_groups, 1) for v in (mean, scale))
    return tape.record(y, affine_uses(tape, input, centre, scale, weight, bias), layout)


def batch_norm(
    tape: Tape,
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
) -> Any:
    """Intercept batch_norm with its running statistics."""
    from torch.nn import functional

    if training or running_mean is None or running_var is None:
        raise InputError(
            "A BatchNorm uses the statistics of the batch, so one example's gradient is not "
            "defined. Call model.eval() before scoring."
        )
    layout = tape.layout((weight, bias), input.shape)
    if layout != "first":
        return NotImplemented
    y = functional.batch_norm(
        input, running_mean, running_var, tape.detached(weight), tape.detached(bias),
        False, 0.0, eps,
    )  # fmt: skip
    scale = (running_var + eps).rsqrt()
    return tape.record(y, affine_uses(tape, input, running_mean, scale, weight, bias), layout)


def affine_uses(
    tape: Tape, x: Tensor, mean: Tensor, scale: Tensor, weight: Tensor | None, bias: Tensor | None
) -> list[Use]:
    """Return the uses of y = (x - mean) scale * weight + bias by channel.

    The weight's gradient is sum g (x - mean) scale; the normalised map is not formed again.
    """
    x, uses = x.detach(), list[Use]()

    def scaled(g: Tensor) -> Tensor:
        centred = sum_to_channels(precise(g) * x) - mean * sum_to_channels(precise(g))
        return centred * scale

    if tape.owns(weight):
        uses.append(DenseUse(tape.name(weight), scaled))
    if tape.owns(bias):
        uses.append(DenseUse(tape.name(bias), sum_to_channels))
    return uses


def sum_to_channels(g: Tensor) -> Tensor:
    """Return g [B, C, ...] summed to [B, C]."""
    return g.flatten(2).sum(2) if g.dim() > 2 else g


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return g [B, ...] summed to [B, *shape], undoing the broadcast of a parameter."""
    while g.dim() - 1 > len(shape):
        g = g.sum(1)
    axes = [i + 1 for i, size in enumerate(shape) if size == 1 and g.shape[i + 1] != 1]
    return g.sum(axes, keepdim=True) if axes else g
