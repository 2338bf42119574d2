"""A small causal transformer over bytes, and its training loop, for the bundled example runs."""

from __future__ import annotations

import math
import zlib
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

VOCAB = 128  # bytes 0..126 as they are, every byte above in one last symbol
CONTEXT = 64
BATCH_WINDOWS = 8
BATCH_TOKENS = BATCH_WINDOWS * CONTEXT
WARMUP_STEPS = 80
FIRST_LOGGED_STEP = 50
TRAIN_LOSS_BATCHES = 64  # train_loss is the mean over this many last batches


@dataclass(frozen=True)
class Recipe:
    """A learning-rate rule: the peak by width, and what follows the warm-up."""

    name: str
    base_lr: float  # the peak rate at width 32
    by_width: bool  # peak rate ∝ 1/width; the same for every size otherwise
    final: float  # rate at the last step over the peak (cosine decay); 1 is constant

    def peak(self, width: int) -> float:
        return self.base_lr * 32 / width if self.by_width else self.base_lr

    def rate(self, width: int, step: int, steps: int) -> float:
        warm = min(1.0, (step + 1) / WARMUP_STEPS)
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        return self.peak(width) * warm * (self.final + (1 - self.final) * cosine)


@dataclass(frozen=True)
class Trajectory:
    """One training from initialisation to its last step; each of `ends` is reported as a run."""

    recipe: Recipe
    layers: int
    width: int
    ends: tuple[int, ...]  # steps; more than one only where the rate does not depend on the end
    seed: int

    @property
    def name(self) -> str:
        shape = f"{self.recipe.name}-l{self.layers}-w{self.width}"
        return f"{shape}-t{self.ends[-1]}-s{self.seed}"

    def logged(self) -> set[int]:
        """Logged steps: two per doubling from 50, and every end."""
        halves = range(int(2 * math.log2(self.ends[-1] / FIRST_LOGGED_STEP)) + 1)
        return {round(FIRST_LOGGED_STEP * 2 ** (k / 2)) for k in halves} | set(self.ends)


class Block(nn.Module):
    """Pre-norm attention and a four-fold ReLU layer, without biases."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // 16)
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.mix = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mix(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.relu(self.up(self.mlp_norm(x))))


class Transformer(nn.Module):
    """Decoder with learned positions; the output layer shares the token embedding."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCAB, width)
        self.positions = nn.Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.5 * width**-0.5)

    def forward(self, windows: Tensor) -> Tensor:
        """Loss in nats of each next byte; shape (windows, CONTEXT)."""
        x = self.tokens(windows[:, :-1]) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        logits = self.norm(x) @ self.tokens.weight.T
        return functional.cross_entropy(
            logits.transpose(1, 2), windows[:, 1:].long(), reduction="none"
        )


def param_counts(layers: int, width: int) -> tuple[int, int]:
    """Parameters without and with the token (shared with the output) and position embeddings."""
    params = 12 * layers * width**2 + (2 * layers + 1) * width
    return params, params + (VOCAB + CONTEXT) * width


def exact_flops(layers: int, width: int, tokens: int) -> float:
    """Training FLOPs of all matrix products: blocks, causal attention (half), output layer."""
    blocks = 24 * layers * width**2
    attention = 4 * layers * width * (CONTEXT + 1) / 2
    return 3.0 * tokens * (blocks + attention + 2 * VOCAB * width)


@torch.no_grad()
def validation_loss(model: nn.Module, windows: Tensor) -> tuple[float, float]:
    """Mean loss over the windows and its standard error, windows taken as independent."""
    losses = torch.cat([model(part).mean(dim=1) for part in windows.split(128)])
    return losses.mean().item(), losses.std().item() / math.sqrt(len(losses))


def train(trajectory: Trajectory, train_windows: Tensor, val_windows: Tensor) -> list[dict]:
    """Train once and return the logged steps. The seed sets initialisation and data order."""
    entropy = zlib.crc32(trajectory.name.encode())
    torch.manual_seed(entropy)
    order = np.random.default_rng(entropy).permutation(len(train_windows))
    model = Transformer(trajectory.layers, trajectory.width)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), fused=True)
    recent: deque[float] = deque(maxlen=TRAIN_LOSS_BATCHES)
    logged, log, steps = trajectory.logged(), [], trajectory.ends[-1]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = trajectory.recipe.rate(trajectory.width, step, steps)
        batch = train_windows[order[step * BATCH_WINDOWS : (step + 1) * BATCH_WINDOWS]]
        loss = model(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.item())
        if step + 1 in logged:
            value, error = validation_loss(model, val_windows)
            log.append(
                {
                    "step": step + 1,
                    "tokens": (step + 1) * BATCH_TOKENS,
                    "train_loss": round(sum(recent) / len(recent), 5),
                    "val_loss": round(value, 5),
                    "val_loss_se": round(error, 5),
                }
            )
    return log
