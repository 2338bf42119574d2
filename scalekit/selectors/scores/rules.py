"""How each operation uses parameters: it runs on detached weights, and its uses are put on tape.

A rule takes the tape and the call's arguments. It returns the output, or `NotImplemented` where it
does not know this form of the call; the operation then runs as it is, its parameters receive an
ordinary gradient, and the tape sees that they were not counted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalekit.selectors.scores.attention import attend
from scalekit.selectors.scores.broadcasts import add, expand, multiply
from scalekit.selectors.scores.convolutions import Geometry
from scalekit.selectors.scores.normalisations import batch_norm, group_norm, layer_norm, rms_norm
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
