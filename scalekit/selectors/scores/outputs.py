"""Scores that one forward pass gives: each is a function of the logits and the labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from scalekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100  # the label of a token that does not count, as in PyTorch and Hugging Face


class Predictions:
    """Logits and labels of a batch, with what the scores share computed once.

    logits [B, C] with labels [B], or [B, T, C] with labels [B, T], where tokens labelled -100 do
    not count and a score is the mean over the tokens that do. Reductions are in float32 at least.
    """

    def __init__(self, logits: Tensor, labels: Tensor) -> None:
        import torch

        check_shapes(logits, labels)
        self.logits = logits
        self.n, self.n_classes = len(labels), logits.shape[-1]
        self.valid = (labels != IGNORED).reshape(self.n, -1)
        self.counts = self.valid.sum(1).clamp_min(1)
        self.labels = torch.where(labels == IGNORED, 0, labels).reshape(self.n, -1)
        check_range(self.labels, self.n_classes)

    @cached_property
    def scores(self) -> Tensor:
        """Logits as [B, T, C] in at least float32, outside the graph."""
        flat = self.logits.detach().reshape(self.n, -1, self.n_classes)
        return flat if flat.element_size() >= 4 else flat.float()

    @cached_property
    def log_p(self) -> Tensor:
        """Log-probabilities [B, T, C]."""
        return self.scores.log_softmax(-1)

    @cached_property
    def p(self) -> Tensor:
        """Probabilities [B, T, C]."""
        return self.log_p.exp()

    @cached_property
    def error(self) -> Tensor:
        """p - onehot(y), the gradient of the loss over the logits [B, T, C]."""
        import torch

        target = torch.zeros_like(self.p).scatter_(2, self.labels[..., None], 1.0)
        return self.p - target

    def at_label(self, values: Tensor) -> Tensor:
        """Return `values` [B, T, C] at the labels [B, T]."""
        return values.gather(2, self.labels[..., None])[..., 0]

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of `values` [B, T] over the tokens that count [B]."""
        return (values * self.valid).sum(1) / self.counts

    def margin(self, values: Tensor) -> Tensor:
        """Return the value at the label less the largest elsewhere [B, T]."""
        top, where = values.topk(2, dim=-1)
        rival = top[..., 0].where(where[..., 0] != self.labels, top[..., 1])
        return self.at_label(values) - rival

    def losses(self) -> Tensor:
        """Return the cross-entropy of each example [B], inside the graph."""
        import torch

        if self.logits.dim() == 2:
            logits = self.logits if self.logits.element_size() >= 4 else self.logits.float()
            return torch.nn.functional.cross_entropy(logits, self.labels[:, 0], reduction="none")
        logits = self.logits.reshape(-1, self.n_classes)
        logits = logits if logits.element_size() >= 4 else logits.float()
        values = torch.nn.functional.cross_entropy(
            logits, self.labels.reshape(-1), reduction="none"
        ).reshape(self.n, -1)
        return (values * self.valid).sum(1) / self.counts


OUTPUT_SCORES: dict[str, Callable[[Predictions], Tensor]] = {
    "loss": lambda at: at.mean(-at.at_label(at.log_p)),
    "el2n": lambda at: at.mean(at.error.norm(dim=-1)),
    "p_true": lambda at: at.mean(at.at_label(at.p)),
    "entropy": lambda at: at.mean(-(at.p * at.log_p.clamp_min(-1e30)).sum(-1)),
    "margin": lambda at: at.mean(at.margin(at.scores)),
    "margin_probability": lambda at: at.mean(at.margin(at.p)),
    "correct": lambda at: at.mean((at.scores.argmax(-1) == at.labels).to(at.scores.dtype)),
}


def check_shapes(logits: Tensor, labels: Tensor) -> None:
    """Raise InputError unless logits are [B, C] or [B, T, C] and labels their first axes."""
    if logits.dim() not in (2, 3) or logits.shape[-1] < 2 or logits.shape[:-1] != labels.shape:
        raise InputError(
            f"The model returned an output of shape {tuple(logits.shape)} for labels of shape "
            f"{tuple(labels.shape)}. Scores need logits [batch, classes >= 2] with labels "
            "[batch], or logits [batch, tokens, classes] with labels [batch, tokens]; a binary "
            "model with one logit z can return stack([0 * z, z], -1)."
        )


def check_range(labels: Tensor, n_classes: int) -> None:
    """Raise InputError where a label is not in 0..n_classes-1."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_classes:
        found = low if low < 0 else high
        rows = ((labels == found).any(1)).nonzero()[:3, 0].tolist()
        raise InputError(
            f"Label {found} (at positions {rows} of the batch) is out of range: the model has "
            f"{n_classes} classes, so labels must be 0 to {n_classes - 1} (or {IGNORED} for "
            "tokens that do not count). Renumber the labels or check the head of the model."
        )


def check_finite(logits: Tensor) -> Tensor:
    """Return the positions in the batch whose logits are not finite."""
    return (~logits.detach().isfinite().reshape(len(logits), -1).all(1)).nonzero()[:, 0]
