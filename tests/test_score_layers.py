"""Every layer of torch is counted exactly: by a rule, or by a loop over examples that is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations

from scalekit.selectors.scores.passes import GradientPass
from tests.score_models import plain_gradients

N = 6


class Flat(nn.Module):
    """One layer, then a linear head on all that it gives."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.head = nn.Sequential(*inner), nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(x).tanh().flatten(1))


class Attention(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.attend, self.head = nn.MultiheadAttention(8, 2, **options), nn.Linear(8, 3)
        self.first = options.get("batch_first", False)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.first else x.transpose(0, 1)
        found = self.attend(x, x, x, need_weights=False)[0]
        return self.head(found.mean(1 if self.first else 0))


class Uses(nn.Module):
    """A parameter `p` that `function` uses."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.p, self.head = nn.Parameter(torch.randn(shape)), nn.Linear(8, 3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(x, self.p).tanh().mean(1))


def cases() -> dict[str, tuple[Callable[[], nn.Module], str, bool]]:
    """Name -> model, kind of input, whether a loop is needed."""
    encoder = nn.TransformerEncoderLayer
    return {
        "Linear": (lambda: Flat(nn.Linear(8, 4)), "sequence", False),
        "Conv1d": (lambda: Flat(nn.Conv1d(5, 10, 3, 2, dilation=2, groups=5)), "sequence", False),
        "Conv2d": (lambda: Flat(nn.Conv2d(4, 8, 3, 2, 1, groups=2)), "image", False),
        "Conv2d, reflected": (
            lambda: Flat(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")), "image", False),
        "Conv3d": (lambda: Flat(nn.Unflatten(1, (4, 1)),
                                nn.Conv3d(4, 8, (1, 3, 3), (1, 2, 2), groups=2)), "image", False),
        "LayerNorm": (lambda: Flat(nn.LayerNorm((5, 8))), "sequence", False),
        "LayerNorm, no bias": (lambda: Flat(nn.LayerNorm(8, bias=False)), "sequence", False),
        "GroupNorm": (lambda: Flat(nn.GroupNorm(2, 4)), "image", False),
        "RMSNorm": (lambda: Flat(nn.RMSNorm(8)), "sequence", False),
        "BatchNorm in eval": (lambda: Flat(nn.BatchNorm2d(4)), "image", False),
        "InstanceNorm": (lambda: Flat(nn.InstanceNorm2d(4, affine=True)), "image", True),
        "Embedding": (lambda: Flat(nn.Embedding(9, 8, padding_idx=2)), "ids", False),
        "EmbeddingBag": (lambda: Flat(nn.EmbeddingBag(9, 8)), "ids", True),
        "attention": (lambda: Attention(batch_first=True), "sequence", False),
        "attention, sequence first": (Attention, "sequence", False),
        "attention, no bias": (lambda: Attention(bias=False), "sequence", False),
        "attention, bias_kv": (lambda: Attention(add_bias_kv=True), "sequence", True),
        "attention, zero": (lambda: Attention(add_zero_attn=True), "sequence", True),
        "encoder, norm first": (lambda: Flat(
            encoder(8, 2, 16, 0.0, batch_first=True, norm_first=True)), "sequence", False),
        "ConvTranspose2d": (lambda: Flat(nn.ConvTranspose2d(4, 2, 3, groups=2)), "image", True),
        "PReLU": (lambda: Flat(nn.PReLU(4)), "image", True),
        "weight norm": (lambda: Flat(parametrizations.weight_norm(nn.Linear(8, 4))), "sequence",
                        True),
        "a scale": (lambda: Uses(lambda x, p: p * x, 8), "sequence", False),
        "a number": (lambda: Uses(lambda x, p: x * p), "sequence", False),
        "a number, added": (lambda: Uses(lambda x, p: p + x), "sequence", False),
        "a quotient": (lambda: Uses(lambda x, p: x / p, 8), "sequence", True),
        "einsum": (lambda: Uses(lambda x, p: torch.einsum("btd,de->bte", x, p), 8, 8), "sequence",
                   True),
        "a class token": (lambda: Uses(
            lambda x, p: torch.cat([p.expand(len(x), -1, -1), x], 1), 1, 1, 8), "sequence", False),
        "a slice of positions": (lambda: Uses(lambda x, p: x + p[:, :5], 1, 9, 8), "sequence",
                                 True),
        "a matrix used twice": (lambda: Uses(
            lambda x, p: F.linear(F.linear(x, p).tanh(), p), 8, 8), "sequence", False),
    }  # fmt: skip


@pytest.mark.parametrize("name", cases())
def test_a_layer_is_counted_exactly(name: str) -> None:
    torch.manual_seed(0)
    build, kind, looped = cases()[name]
    inputs = {"image": torch.randn(N, 4, 6, 6), "sequence": torch.randn(N, 5, 8),
              "ids": torch.randint(0, 9, (N, 5))}[kind]  # fmt: skip
    model, labels = build(), torch.arange(N) % 3
    with torch.no_grad():
        model(inputs)
    model.eval().double()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    torch.manual_seed(1)
    direction = {key: torch.randn_like(p) for key, p in model.named_parameters()}
    exact = plain_gradients(model, inputs, labels)
    norms = torch.stack([sum(g.pow(2).sum() for g in one.values()) for one in exact]).sqrt()
    dots = torch.stack([sum((g * direction[k]).sum() for k, g in one.items()) for one in exact])
    one_pass = GradientPass(model, directions={"v": direction}, dtype="float64")
    found = one_pass.run(inputs, labels, torch.rand(N, 1))["loss"]
    assert torch.allclose(found.total().sqrt(), norms, rtol=1e-12, atol=0)
    assert torch.allclose(found.dots["v"], dots, rtol=1e-9, atol=1e-12)
    assert bool(one_pass.looped) == looped, one_pass.looped
