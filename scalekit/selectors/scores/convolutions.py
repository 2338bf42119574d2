"""Per-example kernel gradients of convolutions, by the ways that pay at different shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Rule = Callable[["Tensor", "Tensor"], "Tensor"]

ROOM, ROOM_GPU = 8 * 2**20, 256 * 2**20  # bytes that a rule may hold for the examples it takes
LARGEST_MAP = 400  # positions up to which Gram matrices of the map are worth trying


def in_parts(rule: Rule, x: Tensor, g: Tensor, size: int) -> Tensor:
    """Return `rule(x, g)` [B], for as many examples at a time as fit; one takes `size` bytes."""
    import torch

    room = ROOM if x.device.type == "cpu" else ROOM_GPU
    count = max(room // max(size, 1), 1)
    if count >= len(x):
        return rule(x, g)
    return torch.cat([rule(*pair) for pair in zip(x.split(count), g.split(count), strict=True)])


def precise(values: Tensor) -> Tensor:
    """Return `values` in at least float32: sums of squares are never taken in half precision."""
    return values if values.element_size() >= 4 else values.float()


def squares(values: Tensor) -> Tensor:
    """Return the squared norm of each example [B], without a squared copy of `values`."""
    import torch

    return torch.linalg.vector_norm(precise(values).flatten(1), dim=1).square()


@dataclass(frozen=True)
class Geometry:
    """A convolution's shape: kernel [p, d / groups, *sizes], stride, padding, dilation, groups."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The kernel's extents."""
        return self.kernel[2:]

    def forward(self, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the convolution of x with `kernel`, which may have other output channels."""
        from torch.nn import functional

        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(self.sizes) - 1]
        return convolve(x, kernel, bias, self.stride, self.padding, self.dilation, self.groups)

    def rules(self, x: Tensor, g: Tensor) -> dict[str, Callable[[], Tensor]]:
        """Return the ways to the squared norm that fit this shape, by name.

        Each takes as many examples at a time as `ROOM` allows, so that a batch of large kernels
        does not hold all their gradients at once.
        """
        kernel, seen = prod(self.kernel), prod(x.shape[1:])
        positions = prod(self.sizes)
        ways: dict[str, tuple[Rule, int]] = {"shift": (self.by_shifts, kernel // positions + seen)}
        if len(self.sizes) == 2 and self.groups == 1 and self.sizes[1] > 1:
            ways["rows"] = (self.by_rows, kernel // self.sizes[0] + self.sizes[1] * seen)
        if not self.is_depthwise:
            ways["loop"] = (self.by_loop, 0)
            ways["grouped"] = (self.by_groups, kernel)
        if self.groups == 1 and prod(x.shape[2:]) <= LARGEST_MAP and len(self.sizes) == 2:
            ways["gram"] = (self.by_gram, 4 * prod(x.shape[2:]) ** 2)
        if self.groups == 1 and max(self.stride) > 1 and len(self.sizes) == 2:
            seen_by_output = prod(g.shape[2:])
            if seen_by_output <= LARGEST_MAP:
                numbers = seen_by_output * (kernel // self.kernel[0] + 2 * seen_by_output)
                ways["patches"] = (self.by_patches, numbers)
        return {
            name: partial(in_parts, rule, x, g, numbers * x.element_size())
            for name, (rule, numbers) in ways.items()
        }

    @property
    def is_depthwise(self) -> bool:
        """Whether each input channel has its own kernels."""
        return self.groups > 1 and self.kernel[1] == 1

    def padded_last(self, x: Tensor) -> Tensor:
        """Return x padded, channels last, contiguous."""
        from torch.nn.functional import pad

        around = [size for pair in reversed(self.padding) for size in (pair, pair)]
        padded = pad(x, around) if any(around) else x
        return padded.movedim(1, -1).contiguous()

    def view(self, last: Tensor, offset: tuple[int, ...], out: tuple[int, ...]) -> Tensor:
        """Return the inputs that kernel position `offset` meets [B, *out, d]."""
        index = [slice(None)]
        for at, dilation, stride, size in zip(offset, self.dilation, self.stride, out, strict=True):
            first = at * dilation
            index.append(slice(first, first + (size - 1) * stride + 1, stride))
        return last[tuple(index)]

    def shifts(self, x: Tensor, g: Tensor) -> list[Tensor]:
        """Return the kernel gradients one kernel position at a time [B, groups, p/G, d/G]."""
        n, out = len(x), tuple(g.shape[2:])
        last = self.padded_last(x)
        grouped = g.reshape(n, self.groups, -1, prod(out))
        found = []
        for offset in product(*map(range, self.sizes)):
            seen = self.view(last, offset, out).reshape(n, prod(out), self.groups, -1)
            if self.is_depthwise and grouped.shape[2] == 1:
                by_channel = grouped[:, :, 0].transpose(1, 2) * seen[..., 0]
                found.append(by_channel.sum(1)[:, :, None, None])
            else:
                found.append(grouped @ seen.transpose(1, 2))
        return found

    def by_shifts(self, x: Tensor, g: Tensor) -> Tensor:
        """Squared norm by one batched product for each kernel position; nothing is unfolded."""
        total = None
        for part in self.shifts(x, g):
            total = squares(part) if total is None else total + squares(part)
        assert total is not None
        return total

    def by_rows(self, x: Tensor, g: Tensor) -> Tensor:
        """Squared norm by one batched product for each row of the kernel (2-D, one group).

        Channels last, the inputs that a row of the kernel meets lie side by side in memory.
        """
        n, (high, wide) = len(x), g.shape[2:]
        last = self.padded_last(x)
        channels = last.shape[3]
        grad = g.reshape(n, g.shape[1], -1)
        total = None
        step = last.stride()
        for row in range(self.sizes[0]):
            window = last.as_strided(
                (n, high, wide, self.sizes[1], channels),
                (step[0], step[1] * self.stride[0], step[2] * self.stride[1],
                 step[2] * self.dilation[1], 1),
                last.storage_offset() + row * self.dilation[0] * step[1],
            )  # fmt: skip
            part = grad @ window.reshape(n, high * wide, -1)
            total = squares(part) if total is None else total + squares(part)
        assert total is not None
        return total

    def by_loop(self, x: Tensor, g: Tensor) -> Tensor:
        """Squared norm by the library's weight-gradient kernel, one example after the other."""
        import torch

        parts = (self._gradient(x[i : i + 1], g[i : i + 1]) for i in range(len(x)))
        return torch.cat([squares(part[None]) for part in parts])

    def by_groups(self, x: Tensor, g: Tensor) -> Tensor:
        """Squared norm by one weight-gradient kernel in which each example is a group."""
        import torch

        n, none = len(x), [0] * len(self.sizes)
        kernels = x.new_empty((n * self.kernel[0], *self.kernel[1:]))
        found = torch.ops.aten.convolution_backward(
            g.reshape(1, -1, *g.shape[2:]), x.reshape(1, -1, *x.shape[2:]), kernels, None,
            self.stride, self.padding, self.dilation, False, none, n * self.groups,
            [False, True, False],
        )[1]  # fmt: skip
        return squares(found.reshape(n, -1))

    def gradients(self, x: Tensor, g: Tensor) -> Tensor:
        """Return the kernel gradients [B, *kernel]."""
        import torch

        return torch.stack([self._gradient(x[i : i + 1], g[i : i + 1]) for i in range(len(x))])

    def _gradient(self, x: Tensor, g: Tensor) -> Tensor:
        import torch

        none = [0] * len(self.sizes)
        return torch.ops.aten.convolution_backward(
            g, x, x.new_empty(self.kernel), None, self.stride, self.padding, self.dilation,
            False, none, self.groups, [False, True, False],
        )[1]  # fmt: skip

    def by_gram(self, x: Tensor, g: Tensor) -> Tensor:
        """Squared norm by Gram matrices of the map (2-D, one group, small maps).

        The Gram matrix of the patches is the sum, over kernel positions, of shifted blocks of the
        Gram matrix of the pixels: no patch is formed. It is summed down, then across.
        """
        n, (tall, broad), (high, wide) = len(x), x.shape[2:], g.shape[2:]
        flat = x.flatten(2)
        pixels = (flat.transpose(1, 2) @ flat).view(n, tall, broad, tall, broad)
        rows = pixels.new_zeros(n, high, broad, high, broad)
        for out, seen in self.meetings(0, tall, high):
            rows[:, out, :, out] += pixels[:, seen, :, seen]
        patches = pixels.new_zeros(n, high, wide, high, wide)
        for out, seen in self.meetings(1, broad, wide):
            patches[:, :, out, :, out] += rows[:, :, seen, :, seen]
        return weighted_sum(patches.view(n, high * wide, -1), g)

    def meetings(self, axis: int, size: int, out: int) -> Iterator[tuple[slice, slice]]:
        """Yield, for each kernel position along `axis`, which outputs meet which inputs."""
        stride = self.stride[axis]
        for at in range(self.sizes[axis]):
            shift = at * self.dilation[axis] - self.padding[axis]
            first, last = max(-(shift // stride), 0), min((size - 1 - shift) // stride + 1, out)
            if first < last:
                inputs = slice(first * stride + shift, (last - 1) * stride + shift + 1, stride)
                yield slice(first, last), inputs

    def by_patches(self, x: Tensor, g: Tensor) -> Tensor:
        """Squared norm by Gram matrices of the patches (2-D, one group).

        Pays where the stride leaves few patches of a large map.
        """
        from torch.nn.functional import unfold

        patches = unfold(x, self.sizes, self.dilation, self.padding, self.stride)
        return weighted_sum(patches.transpose(1, 2) @ patches, g)


def weighted_sum(gram: Tensor, g: Tensor) -> Tensor:
    """Return the sum over pairs of positions of `gram` times the products of g [B]."""
    flat = g.flatten(2)
    return precise(gram * (flat.transpose(1, 2) @ flat)).sum((1, 2))
