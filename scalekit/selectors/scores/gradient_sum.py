"""The mean gradient of a set of examples, summed batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scalekit.errors import InputError
from scalekit.selectors.scores.inputs import autocast_for, call_model
from scalekit.selectors.scores.outputs import Predictions

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class GradientSum:
    """Sums the gradients of the loss of examples, batch by batch."""

    def __init__(self, model: Module, dtype: str = "float32") -> None:
        import torch

        self.model, self.dtype, self.count = model, dtype, 0
        self._named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._total = {
            name: torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32))
            for name, p in self._named.items()
        }

    def logits(self, inputs: Any) -> Tensor:
        """Return the logits of `inputs`, inside the graph."""
        import torch

        with torch.enable_grad(), autocast_for(self.model, self.dtype):
            return call_model(self.model, inputs)

    def gradients(self, at: Predictions) -> dict[str, Tensor]:
        """Return the gradient of the summed loss; raises InputError where it is not finite."""
        import torch

        values = list(self._named.values())
        grads = torch.autograd.grad(at.losses().sum(), values, allow_unused=True)
        found = {k: g for k, g in zip(self._named, grads, strict=True) if g is not None}
        for name, grad in found.items():
            if not bool(grad.isfinite().all()):
                raise InputError(f"The gradient over '{name}' is NaN or infinite.")
        return found

    def add(self, gradients: Mapping[str, Tensor], n: int) -> None:
        """Add the gradient of `n` examples."""
        for name, gradient in gradients.items():
            self._total[name] += gradient
        self.count += n

    def mean(self) -> dict[str, Tensor]:
        """Return the mean gradient; raises InputError where nothing was added."""
        if self.count == 0:
            raise InputError("The reference set is empty. Give at least one example.")
        return {name: value / self.count for name, value in self._total.items()}


def mean_gradient(
    model: Module, batches: Iterable[tuple[Any, Tensor]], dtype: str = "float32"
) -> tuple[dict[str, Tensor], int]:
    """Return the mean gradient of the loss over `batches` (inputs, labels), and their number."""
    total = GradientSum(model, dtype)
    for inputs, labels in batches:
        total.add(total.gradients(Predictions(total.logits(inputs), labels)), len(labels))
    return total.mean(), total.count
