"""What one use of a parameter contributes to each example's gradient.

A use keeps what went in and, once it arrives in the backward pass, the gradient of what came out.
From the two: the squared norm of the example's gradient, its product with a given direction, its
sketch, and (where nothing cheaper is known) the gradient itself. No weight-gradient product of
the batch is ever formed. Shapes: B examples, T positions, d inputs, p outputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from math import prod
from typing import TYPE_CHECKING

from scalekit.selectors.scores.convolutions import Geometry, precise, squares
from scalekit.selectors.scores.projector import Projector, outer

if TYPE_CHECKING:
    from torch import Tensor

TRIALS = 4
TUNED: dict[Hashable, str] = {}  # fastest rule of each layer shape, measured once a process


Part = tuple[int, int] | None


class Use:
    """One use of one parameter; `part` is the range of its rows, where a use takes some only."""

    grad: Tensor | None = None

    def __init__(self, name: str, part: Part = None) -> None:
        self.name, self.part = name, part

    def norm2(self) -> Tensor:
        """Return the squared norm of each example's gradient [B]."""
        return squares(self.dense())

    def dense(self) -> Tensor:
        """Return each example's gradient [B, *shape of the block]."""
        raise NotImplementedError

    def dot(self, direction: Tensor) -> Tensor:
        """Return the product of each example's gradient with `direction` (the block's shape)."""
        return (precise(self.dense()) * self.block(direction)).flatten(1).sum(1)

    def block(self, direction: Tensor) -> Tensor:
        """Return the rows of `direction` that belong to this use."""
        return direction if self.part is None else direction[slice(*self.part)]

    def receive(self, g: Tensor) -> None:
        """Take the gradient of the output, batch axis first."""
        self.grad = g

    def sketch(self, projector: Projector) -> Tensor:
        """Return a sketch of each example's gradient [B, width**2]."""
        return projector.scatter(f"{self.name}/{self.part}", precise(self.dense()).flatten(1))

    @property
    def g(self) -> Tensor:
        """The gradient of the output; there once the backward pass has been here."""
        assert self.grad is not None
        return self.grad


class MatrixUse(Use):
    """y = a W^T with a [B, T, d], W [p, d] (or [d, p], `transposed`): gradient sum_t g_t a_t^T."""

    def __init__(self, name: str, a: Tensor, transposed: bool = False, part: Part = None) -> None:
        super().__init__(name, part)
        self.a, self.transposed = a, transposed

    def receive(self, g: Tensor) -> None:
        """Take the gradient of the output, as [B, T, p]."""
        self.grad = g.reshape(len(g), -1, g.shape[-1])

    def _pair(self) -> tuple[Tensor, Tensor]:
        a, g = self.a, self.g
        return (a, g) if a.dtype == g.dtype else (a.to(g.dtype), g)

    def norm2(self) -> Tensor:
        """Return |sum_t g_t a_t^T|^2 by the cheaper of the Gram product and the gradient."""
        a, g = self._pair()
        positions, d, p = *a.shape[1:], g.shape[2]
        if positions == 1:
            return squares(a) * squares(g)
        if positions * (p + d) < p * d:
            return gram_product(a, a, g, g)
        return squares(g.transpose(1, 2) @ a)

    def dense(self) -> Tensor:
        """Return the weight gradients [B, p, d] (or [B, d, p])."""
        a, g = self._pair()
        return a.transpose(1, 2) @ g if self.transposed else g.transpose(1, 2) @ a

    def dot(self, direction: Tensor) -> Tensor:
        """Return sum_t g_t^T V a_t [B]."""
        a, g = self._pair()
        weight = self.block(direction).to(g.dtype)
        moved = a @ weight if self.transposed else a @ weight.T
        return precise(moved * g).flatten(1).sum(1)

    def sketch(self, projector: Projector) -> Tensor:
        """Return P^T W' Q of the gradient W', whose products estimate those of the gradients."""
        a, g = map(precise, self._pair())
        rows, columns = (a, g) if self.transposed else (g, a)
        key = f"{self.name}/{self.part}"
        left = rows @ projector.signs(key + "/rows", rows.shape[2], g.device).to(g.dtype)
        right = columns @ projector.signs(key + "/columns", columns.shape[2], g.device).to(g.dtype)
        return outer(left, right)


class RowsUse(Use):
    """y = W[ids] with ids [B, T], W [V, d]: the gradient has g_t added to row ids_t."""

    def __init__(self, name: str, ids: Tensor, n_rows: int, padding: int | None) -> None:
        super().__init__(name)
        self.ids, self.n_rows, self.padding = ids, n_rows, padding

    def receive(self, g: Tensor) -> None:
        """Take the gradient of the output, as [B, T, d]."""
        self.grad = g.reshape(len(g), -1, g.shape[-1])

    def rows(self) -> Tensor:
        """Return the gradients of the outputs, zero at the padding row [B, T, d]."""
        if self.padding is None:
            return self.g
        return self.g * (self.ids != self.padding)[..., None]

    def norm2(self) -> Tensor:
        """Return the squared norm, by summing the positions that share a row."""
        import torch

        n, positions = self.ids.shape
        g = precise(self.rows())
        if positions == 1:
            return squares(g)
        example = torch.arange(n, device=g.device)[:, None] * self.n_rows
        keys, which = torch.unique(self.ids + example, return_inverse=True)
        sums = g.new_zeros(len(keys), g.shape[2]).index_add_(0, which.flatten(), g.flatten(0, 1))
        return g.new_zeros(n).index_add_(0, keys // self.n_rows, (sums * sums).sum(1))

    def dense(self) -> Tensor:
        """Return the table's gradients [B, V, d]."""
        g = precise(self.rows())
        table = g.new_zeros(len(g), self.n_rows, g.shape[2])
        return table.scatter_add_(1, self.ids[..., None].expand_as(g), g)

    def dot(self, direction: Tensor) -> Tensor:
        """Return sum_t g_t . V[ids_t] [B]."""
        return (precise(self.rows()) * direction[self.ids]).flatten(1).sum(1)

    def sketch(self, projector: Projector) -> Tensor:
        """Return the sketch of a matrix use whose inputs are one-hot."""
        key, g = f"{self.name}/{self.part}", precise(self.rows())
        left = projector.signs(key + "/rows", self.n_rows, g.device)[self.ids].to(g.dtype)
        right = g @ projector.signs(key + "/columns", g.shape[2], g.device).to(g.dtype)
        return outer(left, right)


class ConvolutionUse(Use):
    """A convolution of any rank, stride, dilation and groups; several rules, the fastest wins."""

    def __init__(self, name: str, x: Tensor, geometry: Geometry) -> None:
        super().__init__(name)
        self.x, self.geometry = x, geometry

    def _pair(self) -> tuple[Tensor, Tensor]:
        return self.x.to(self.g.dtype), self.g

    def norm2(self) -> Tensor:
        """Return the squared norm of the kernel's gradient [B]."""
        x, g = self._pair()
        rules = self.geometry.rules(x, g)
        key = (self.geometry, tuple(x.shape), x.dtype, x.device.type)
        return fastest(key, rules)

    def dense(self) -> Tensor:
        """Return the kernels' gradients [B, p, d / groups, *kernel]."""
        return self.geometry.gradients(*self._pair())

    def dot(self, direction: Tensor) -> Tensor:
        """Return <g, conv(x, V)> [B]."""
        x, g = self._pair()
        return precise(self.geometry.forward(x, direction.to(g.dtype)) * g).flatten(1).sum(1)

    def sketch(self, projector: Projector) -> Tensor:
        """Return the sketch of a matrix use whose inputs are patches."""
        if self.geometry.groups != 1:
            return super().sketch(projector)
        x, g = self._pair()
        shape, key = self.geometry.kernel, f"{self.name}/{self.part}"
        codes = projector.signs(key + "/columns", prod(shape[1:]), g.device).T
        filters = codes.reshape(-1, *shape[1:]).to(x.dtype)
        right = precise(self.geometry.forward(x, filters)).flatten(2).transpose(1, 2)
        flat = precise(g).flatten(2).transpose(1, 2)
        left = flat @ projector.signs(key + "/rows", shape[0], g.device).to(flat.dtype)
        return outer(left, right)


class DenseUse(Use):
    """A small parameter (bias, scale, position): `gradient(g)` gives [B, *shape] at once."""

    def __init__(self, name: str, gradient: Callable[[Tensor], Tensor], part: Part = None) -> None:
        super().__init__(name, part)
        self._gradient = gradient

    def dense(self) -> Tensor:
        """Return each example's gradient."""
        return self._gradient(self.g)


def combined_sketch(uses: list[Use], projector: Projector) -> Tensor:
    """Return the sketch of the summed gradient of several uses of one parameter.

    Uses as a matrix and as a table share their codes; where others are among them, all are
    sketched entry by entry, so that their codes agree.
    """
    from functools import reduce

    alike = len(uses) == 1 or all(isinstance(use, (MatrixUse, RowsUse)) for use in uses)
    sketches = (use.sketch(projector) if alike else Use.sketch(use, projector) for use in uses)
    return reduce(lambda left, right: left + right, sketches)


def gram_product(a1: Tensor, a2: Tensor, g1: Tensor, g2: Tensor) -> Tensor:
    """Return sum_{t,s} (a1_t . a2_s)(g1_t . g2_s) [B]."""
    return precise((a1 @ a2.transpose(1, 2)) * (g1 @ g2.transpose(1, 2))).sum((1, 2))


def cross(first: Use, second: Use) -> Tensor:
    """Return the product of two uses of one parameter, for each example [B]."""
    import torch

    if isinstance(first, MatrixUse) and isinstance(second, MatrixUse):
        if first.transposed == second.transposed:
            (a1, g1), (a2, g2) = first._pair(), second._pair()
            return gram_product(a1, a2.to(a1.dtype), g1, g2.to(g1.dtype))
    elif isinstance(first, MatrixUse) and isinstance(second, RowsUse):
        return cross(second, first)
    elif isinstance(first, RowsUse) and isinstance(second, MatrixUse) and not second.transposed:
        a, g = second._pair()
        at_ids = torch.gather(g, 2, first.ids[:, None, :].expand(-1, g.shape[1], -1))
        return precise(at_ids * (a @ first.rows().to(a.dtype).transpose(1, 2))).sum((1, 2))
    return (precise(first.dense()) * precise(second.dense())).flatten(1).sum(1)


def combined_norm2(uses: list[Use]) -> Tensor:
    """Return the squared norm of the summed gradient of several uses of one parameter [B]."""
    from functools import reduce
    from itertools import combinations

    total = reduce(lambda left, right: left + right, (use.norm2() for use in uses))
    for first, second in combinations(uses, 2):
        total = total + 2 * cross(first, second)
    return total


def fastest(key: Hashable, rules: dict[str, Callable[[], Tensor]]) -> Tensor:
    """Return the value of the fastest of `rules` for this shape; they are timed the first time."""
    if len(rules) == 1:
        return next(iter(rules.values()))()
    if key in TUNED:
        return rules[TUNED[key]]()
    seconds = dict.fromkeys(rules, float("inf"))
    for _ in range(TRIALS):  # in turn, and the least: one interruption does not choose the rule
        for name, rule in rules.items():
            start, wall = time.process_time(), time.perf_counter()
            on_host = _synchronised(rule()).device.type == "cpu"
            spent = time.process_time() - start if on_host else time.perf_counter() - wall
            seconds[name] = min(seconds[name], spent)
    TUNED[key] = min(seconds, key=lambda name: seconds[name])
    return rules[TUNED[key]]()


def _synchronised(value: Tensor) -> Tensor:
    if value.device.type == "cuda":
        import torch

        torch.cuda.synchronize(value.device)
    return value
