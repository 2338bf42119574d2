"""Variance of gradients: how the gradient of the true logit over the input varies in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scalekit.errors import InputError
from scalekit.selectors.scores.outputs import Predictions

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class InputGradients:
    """Takes dz_y/dx of each batch: x are pixels, or the embedding's output for token ids.

    One object serves one batch over all checkpoints and keeps a running mean and sum of squares
    (Welford), so that checkpoints stream. Padded tokens (attention_mask 0) do not count.
    """

    def __init__(self, model: Module) -> None:
        self._model = model
        self._target: Tensor | None = None
        self._mask: Tensor | None = None
        self._handle: Any = None
        self.count = 0
        self.mean: Tensor | None = None
        self.m2: Tensor | None = None

    def prepare(self, inputs: Any) -> Any:
        """Return the inputs to run the model on, watched."""
        import torch

        values = inputs
        if isinstance(inputs, Mapping):
            self._mask = inputs.get("attention_mask")
            for name in ("pixel_values", "inputs_embeds", "inputs", "x"):
                if name in inputs and inputs[name].is_floating_point():
                    self._target = inputs[name].detach().clone().requires_grad_(True)
                    return dict(inputs) | {name: self._target}
            values = None
        if isinstance(values, torch.Tensor) and values.is_floating_point():
            self._target = values.detach().clone().requires_grad_(True)
            return self._target
        if isinstance(values, tuple) and values[0].is_floating_point():
            self._target = values[0].detach().clone().requires_grad_(True)
            return (self._target, *values[1:])
        self._handle = embedding_of(self._model).register_forward_hook(self._keep)
        return inputs

    def _keep(self, module: Any, args: Any, output: Tensor) -> None:
        self._target = output
        if not output.requires_grad:  # the embedding may be frozen
            output.requires_grad_(True)

    def take(self, at: Predictions, inputs: Any) -> None:
        """Take the gradient of the true logit and add it to the running moments."""
        import torch

        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        assert self._target is not None
        logits = at.logits.reshape(at.n, -1, at.n_classes)
        value = at.mean(at.at_label(logits)).sum()
        (g,) = torch.autograd.grad(value, self._target, retain_graph=True)
        if len(g) != at.n:
            raise InputError(
                f"'vog' took the embedding's output {list(g.shape)} for the input, but it has no "
                f"row for each of the {at.n} examples. Name the embedding of the tokens: a method "
                "get_input_embeddings() of the model that returns it."
            )
        g = g.detach() if g.element_size() >= 4 else g.detach().float()
        self.count += 1
        if self.mean is None:
            self.mean, self.m2 = torch.zeros_like(g), torch.zeros_like(g)
        assert self.m2 is not None
        delta = g - self.mean
        self.mean = self.mean + delta / self.count
        self.m2 = self.m2 + delta * (g - self.mean)
        self._target = None

    def columns(self) -> dict[str, Tensor]:
        """Return both forms of the score [B]."""
        if self.m2 is None or self.count < 2:
            raise InputError("'vog' needs at least two checkpoints.")
        deviation = (self.m2 / self.count).clamp_min(0).sqrt()
        return {
            "vog": self._average(deviation),
            "vog_paper": self._average(self.m2 / self.count**0.5),
        }

    def _average(self, values: Tensor) -> Tensor:
        if self._mask is None or values.dim() != 3:
            return values.flatten(1).mean(1)
        mask = self._mask.to(values.dtype)
        return (values.mean(2) * mask).sum(1) / mask.sum(1).clamp_min(1)


def embedding_of(model: Module) -> Module:
    """Return the embedding of the model's tokens: its own word, or that with the most rows."""
    from torch.nn import Embedding

    getter = getattr(model, "get_input_embeddings", None)
    if callable(getter):
        return getter()
    tables = [module for module in model.modules() if isinstance(module, Embedding)]
    if tables:  # positions and kinds have fewer
        return max(tables, key=lambda table: table.num_embeddings)
    raise InputError(
        "'vog' needs the gradient over the input, but the inputs are not real numbers and the "
        "model has no Embedding. Give pixels or features, or leave 'vog' out."
    )
