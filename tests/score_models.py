"""Small models that stand for the families whose gradient norms must be exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Residual(nn.Module):
    """A block of a ResNet, with GroupNorm or BatchNorm, an in-place ReLU and a strided shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([norm(outputs), norm(outputs)])
        self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.first(x)), inplace=True)
        return F.relu(self.norms[1](self.second(y)) + self.short(x))


class ResNet(nn.Module):
    def __init__(self, norm: Callable[[int], nn.Module], width: int = 8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
        self.blocks = nn.Sequential(
            Residual(width, width, 1, norm), Residual(width, 2 * width, 2, norm)
        )
        self.fc = nn.Linear(2 * width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


class Encoder(nn.Module):
    """A transformer classifier with torch's own attention; positions are shared by the batch."""

    def __init__(self, batch_first: bool = True):
        super().__init__()
        self.tokens, self.places = nn.Embedding(30, 16, padding_idx=0), nn.Embedding(12, 16)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, 0.0, batch_first=batch_first)
        self.batch_first = batch_first
        self.fc = nn.Linear(16, 5)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        x = x if self.batch_first else x.transpose(0, 1)
        x = self.layer(x, src_key_padding_mask=ids == 0)
        return self.fc(x.mean(1 if self.batch_first else 0))


class TiedLanguageModel(nn.Module):
    """Token logits; the embedding is the head, and one norm is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(30, 16)
        self.mix = nn.Linear(16, 16)
        self.norm = nn.RMSNorm(16)
        self.head = nn.Linear(16, 30, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(self.tokens(ids))
        return self.head(self.norm(x + torch.tanh(self.mix(x).cumsum(1))))


class Crossed(nn.Module):
    """Cross attention with learned queries, a class token, a scale: parameters outside layers."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 3, 12))
        self.place = nn.Parameter(torch.randn(1, 6, 12))
        self.scale = nn.Parameter(torch.rand(12))
        self.lift = nn.Parameter(torch.randn(4, 12))
        self.attend = nn.MultiheadAttention(12, 3, kdim=12, vdim=12, batch_first=True)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        keys = (x @ self.lift + self.place) * self.scale
        queries = self.queries.expand(len(x), -1, -1)
        found, _ = self.attend(queries, keys, keys)
        return self.fc(self.scale * found.mean(1))


class Odd(nn.Module):
    """Uses without a rule: a transposed convolution, an LSTM, a weight that is transformed."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose1d(3, 4, 3)
        self.memory = nn.LSTM(4, 6, batch_first=True)
        self.weight = nn.Parameter(torch.randn(6, 6))
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        found, _ = self.memory(self.up(x).transpose(1, 2))
        return self.fc(found[:, -1] @ self.weight.exp().T)


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(2, (6, 6)),
        nn.Conv2d(4, 8, 3, padding=1, groups=2, dilation=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.GELU(),
        nn.Conv2d(8, 6, (1, 3), stride=(2, 1), dilation=(1, 2), padding="valid"),
        nn.Conv2d(6, 6, 3, padding="same"),
        nn.Flatten(2),
        nn.Conv1d(6, 4, 3, stride=2),
        nn.Unflatten(2, (1, 1, -1)),
        nn.Conv3d(4, 4, (1, 1, 2)),
        nn.Flatten(),
        nn.LazyLinear(5),
    )


def cases() -> dict[str, tuple[nn.Module, Any, Tensor]]:
    """Name -> model in eval mode and float64, inputs, labels."""
    torch.manual_seed(0)
    n = 5
    images, labels = torch.randn(n, 3, 8, 8).double(), torch.randint(0, 5, (n,))
    ids = torch.randint(1, 30, (n, 12))
    ids[0, 8:] = 0
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.BatchNorm1d(16), nn.Linear(16, 5))
    many = convolutions()
    flat = torch.randn(n, 4, 36)
    many(flat)
    found = {
        "mlp": (mlp, images, labels),
        "resnet, GroupNorm": (ResNet(lambda c: nn.GroupNorm(4, c)), images, labels),
        "resnet, BatchNorm in eval": (ResNet(nn.BatchNorm2d), images, labels),
        "convolutions of all shapes": (many, flat.double(), labels),
        "transformer, padding mask": (Encoder(), ids, labels),
        "transformer, sequence first": (Encoder(batch_first=False), ids, labels),
        "tied language model": (TiedLanguageModel(), ids, ids.roll(-1, 1)),
        "parameters outside layers": (Crossed(), torch.randn(n, 6, 4).double(), labels),
        "uses without a rule": (Odd(), torch.randn(n, 3, 7).double(), labels),
    }
    with torch.no_grad():
        for model, inputs, _ in found.values():
            model.double().train()(inputs)  # running statistics that are not 0 and 1
            model.eval()
    return found


def plain_gradients(model: nn.Module, inputs: Any, labels: Tensor) -> list[dict[str, Tensor]]:
    """Each example's gradient of the mean token loss, by plain autograd on a batch of one."""
    found = []
    for i in range(len(labels)):
        one = inputs[i : i + 1] if isinstance(inputs, Tensor) else {
            key: value[i : i + 1] for key, value in inputs.items()
        }  # fmt: skip
        out = model(one) if isinstance(one, Tensor) else model(**one).logits
        loss = F.cross_entropy(out.flatten(0, -2), labels[i : i + 1].flatten())
        names, values = zip(*[(k, p) for k, p in model.named_parameters() if p.requires_grad],
                            strict=True)  # fmt: skip
        grads = torch.autograd.grad(loss, values, allow_unused=True)
        found.append({k: g for k, g in zip(names, grads, strict=True) if g is not None})
    return found
