"""How each operation uses parameters: it runs on detached weights, and its uses are put on tape.

A rule takes the tape and the call's arguments. It returns the output, or `NotImplemented` where it
does not know this form of the call; the operation then runs as it is, its parameters receive an
ordinary gradient, and the tape sees that they were not counted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalekit.errors import InputError
from scalekit.selectors.scores.attention import attend
from scalekit.selectors.scores.convolutions import Geometry
from scalekit.selectors.scores.uses import ConvolutionUse, DenseUse, MatrixUse, RowsUse

if TYPE_CHECKING:
    from torch import Tensor

    from scalekit.selectors.scores.tape import Tape

Rule = Callable[..., Any]


@functools.cache
def rules() -> dict[Callable[..., Any], Rule]:
    """Return the operations that can be intercepted, each with its rule."""
    import torch
    from torch import Tensor
    from torch.nn import functional

    found: dict[Callable[..., Any], Rule] = {
        functional.linear: linear,
        functional.embedding: embedding,
        functional.layer_norm: layer_norm,
        functional.group_norm: group_norm,
        functional.rms_norm: rms_norm,
        functional.batch_norm: batch_norm,
        functional.multi_head_attention_forward: attend,
        torch.addmm: addmm,
        Tensor.expand: expand,
    }
    for rank in (1, 2, 3):
        for home in (functional, torch):
            found[getattr(home, f"conv{rank}d")] = functools.partial(convolution, rank)
    products = ("mul", "__mul__", "__rmul__", "mul_", "__imul__", "multiply")
    sums = ("add", "__add__", "__radd__", "add_", "__iadd__")
    groups: tuple[tuple[tuple[str, ...], Rule], ...] = (
        (products, multiply), (sums, add), (("matmul", "__matmul__"), matmul),
    )  # fmt: skip
    for names, rule in groups:
        for name in names:
            for place in (torch, Tensor):
                if hasattr(place, name):
                    found[getattr(place, name)] = rule
    return found


def linear(tape: Tape, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """Intercept torch.nn.functional.linear."""
    from torch.nn import functional

    layout = tape.layout((weight, bias), x.shape)
    if layout is None:
        return NotImplemented
    y = functional.linear(x, tape.detached(weight), tape.detached(bias))
    return record_matrix(tape, x, y, weight, bias, layout)


def record_matrix(
    tape: Tape,
    x: Tensor,
    y: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    layout: str,
    part: tuple[int, int] | None = None,
    transposed: bool = False,
) -> Tensor:
    """Put y = x W^T + b on tape and return y."""
    uses: list[Any] = []
    if tape.owns(weight):
        a = tape.batch_first(x.detach(), layout)
        a = a.reshape(len(a), -1, a.shape[-1])
        uses.append(MatrixUse(tape.name(weight), a, transposed, part))
    if tape.owns(bias):
        uses.append(DenseUse(tape.name(bias), sum_to_last, part))
    return tape.record(y, uses, layout)


def sum_to_last(g: Tensor) -> Tensor:
    """Return g summed over all but its first and last axes."""
    return g.reshape(len(g), -1, g.shape[-1]).sum(1)


def addmm(tape: Tape, bias: Tensor, x: Tensor, weight: Tensor, **options: Any) -> Any:
    """Intercept torch.addmm(bias, x, weight) as GPT-2's Conv1D uses it."""
    import torch

    layout = tape.layout((weight, bias), x.shape)
    if layout is None or options or bias.dim() != 1:
        return NotImplemented
    y = torch.addmm(tape.detached(bias), x, tape.detached(weight))
    return record_matrix(tape, x, y, weight, bias, layout, transposed=True)


def matmul(tape: Tape, x: Tensor, weight: Tensor) -> Any:
    """Intercept x @ W with a matrix W."""
    import torch

    if not tape.owns(weight) or weight.dim() != 2 or tape.owns(x) or x.dim() < 2:
        return NotImplemented
    layout = tape.layout((weight,), x.shape)
    if layout is None:
        return NotImplemented
    y = torch.matmul(x, tape.detached(weight))
    return record_matrix(tape, x, y, weight, None, layout, transposed=True)


def embedding(
    tape: Tape,
    ids: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,  # noqa: ARG001
    scale_grad_by_freq: bool = False,
    sparse: bool = False,  # noqa: ARG001
) -> Any:
    """Intercept an embedding; positions [T] or [1, T] are repeated for each example."""
    from torch.nn import functional

    if max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    layout = tape.layout((weight,), ids.shape, positions=True)
    if layout is None:
        return NotImplemented
    if layout == "shared":
        ids, layout = ids.reshape(1, -1).expand(tape.n, -1), "first"
    y = functional.embedding(ids, tape.detached(weight))
    padding = padding_idx if padding_idx is None or padding_idx >= 0 else len(weight) + padding_idx
    rows = tape.batch_first(ids, layout)
    use = RowsUse(tape.name(weight), rows.reshape(len(rows), -1), len(weight), padding)
    return tape.record(y, [use], layout)


def convolution(
    rank: int,
    tape: Tape,
    input: Tensor,  # noqa: A002 (the name that PyTorch gives it)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Intercept conv1d, conv2d or conv3d."""
    layout = tape.layout((weight, bias), input.shape)
    if layout != "first" or input.dim() != rank + 2:
        return NotImplemented
    dilation = as_tuple(dilation, rank)
    if padding == "same":
        reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        if any(size % 2 for size in reach):
            return NotImplemented
        padding = tuple(size // 2 for size in reach)
    around = as_tuple(0 if padding == "valid" else padding, rank)
    geometry = Geometry(tuple(weight.shape), as_tuple(stride, rank), around, dilation, groups)
    y = geometry.forward(input, tape.detached(weight), tape.detached(bias))
    uses: list[Any] = []
    if tape.owns(weight):
        uses.append(ConvolutionUse(tape.name(weight), input.detach(), geometry))
    if tape.owns(bias):
        uses.append(DenseUse(tape.name(bias), lambda g: g.flatten(2).sum(2)))
    return tape.record(y, uses, layout)


def as_tuple(value: Any, rank: int) -> tuple[int, ...]:
    """Return `value` as one integer for each axis."""
    if isinstance(value, int):
        return (value,) * rank
    values = tuple(value)
    return values * rank if len(values) == 1 else values


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
    from torch.nn import functional

    layout = tape.layout((weight, bias), input.shape)
    if layout != "first":
        return NotImplemented
    y = functional.group_norm(input, num_groups, tape.detached(weight), tape.detached(bias), eps)
    x = input.detach()
    return normalisation(
        tape, y, lambda: functional.group_norm(x, num_groups, None, None, eps),
        sum_to_channels, weight, bias, layout,
    )  # fmt: skip


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
    x, scale = input.detach(), (running_var + eps).rsqrt()
    uses: list[Any] = []
    if tape.owns(weight):  # sum g (x - mean) scale, without the normalised map
        uses.append(
            DenseUse(
                tape.name(weight),
                lambda g: (sum_to_channels(g * x) - running_mean * sum_to_channels(g)) * scale,
            )
        )
    if tape.owns(bias):
        uses.append(DenseUse(tape.name(bias), sum_to_channels))
    return tape.record(y, uses, layout)


def sum_to_channels(g: Tensor) -> Tensor:
    """Return g [B, C, ...] summed to [B, C]."""
    return g.flatten(2).sum(2) if g.dim() > 2 else g


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return g [B, ...] summed to [B, *shape], undoing the broadcast of a parameter."""
    while g.dim() - 1 > len(shape):
        g = g.sum(1)
    axes = [i + 1 for i, size in enumerate(shape) if size == 1 and g.shape[i + 1] != 1]
    return g.sum(axes, keepdim=True) if axes else g


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
