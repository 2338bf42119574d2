"""Calling a model on a batch: tensors, dictionaries or tuples in, logits out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module


def map_tensors(function: Callable[[Tensor], Tensor], inputs: Any) -> Any:
    """Return `inputs` with `function` applied to each tensor in it."""
    if isinstance(inputs, Mapping):
        return {key: map_tensors(function, value) for key, value in inputs.items()}
    if isinstance(inputs, (tuple, list)):
        return tuple(map_tensors(function, value) for value in inputs)
    return function(inputs)


def take(inputs: Any, rows: slice) -> Any:
    """Return the examples `rows` of a batch of inputs."""
    return map_tensors(lambda values: values[rows], inputs)


def as_tensor(values: Any) -> Tensor:
    """Return `values` as a tensor; arrays that may not be written are copied."""
    import torch

    if isinstance(values, np.ndarray) and not values.flags.writeable:
        values = values.copy()
    return torch.as_tensor(values)


def to_device(inputs: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Return `inputs` on `device`; real numbers take `dtype`, bytes become 0 to 1.

    Arrays of bytes (images) are moved as they are and divided by 255 on the device.
    """
    import torch

    def move(values: Any) -> Tensor:
        tensor = as_tensor(values).to(device, non_blocking=True)
        if tensor.dtype == torch.uint8 and tensor.dim() >= 3:
            return tensor.to(dtype).div_(255)
        if tensor.is_floating_point():
            return tensor.to(dtype)
        return tensor.long() if tensor.dtype in (torch.int32, torch.int16, torch.uint8) else tensor

    return map_tensors(move, inputs)


def call_model(model: Module, inputs: Any) -> Tensor:
    """Return the logits of `model` on `inputs` (a dictionary is given as keyword arguments)."""
    if isinstance(inputs, Mapping):
        return logits_of(model(**inputs))
    return logits_of(model(*inputs) if isinstance(inputs, tuple) else model(inputs))


def logits_of(found: Any) -> Tensor:
    """Return the logits in what a model returned."""
    import torch

    if isinstance(found, torch.Tensor):
        return found
    for name in ("logits", "scores"):
        if hasattr(found, name):
            return getattr(found, name)
    if isinstance(found, Mapping) and "logits" in found:
        return found["logits"]
    if isinstance(found, tuple) and isinstance(found[0], torch.Tensor):
        return found[0]
    raise InputError(
        f"The model returned a {type(found).__name__}. Return the logits as a tensor, or an "
        "object with .logits."
    )


def check_mode(model: Module) -> None:
    """Raise InputError where the model's output depends on the batch or on chance."""
    from torch.nn import MultiheadAttention, RReLU
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.dropout import _DropoutNd
    from torch.nn.modules.rnn import RNNBase

    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise InputError(
                f"'{name}' is a {type(module).__name__} without running statistics, so that even "
                "in eval mode an example's score would depend on its batch. Train with "
                "track_running_stats=True, or use GroupNorm or LayerNorm."
            )
        if isinstance(module, _BatchNorm) and module.training:
            raise InputError(
                f"The model is in training mode and '{name}' is a {type(module).__name__}: an "
                "example's score would depend on its batch. Call model.eval() first."
            )
        share = (
            module.p if isinstance(module, _DropoutNd)
            else module.dropout if isinstance(module, (MultiheadAttention, RNNBase))
            else 1.0 if isinstance(module, RReLU) else 0.0
        )  # fmt: skip
        if module.training and share > 0:
            raise InputError(
                f"The model is in training mode and '{name}' ({type(module).__name__}) acts at "
                "random: a score would not repeat. Call model.eval() first."
            )


def check_repeat(logits: Tensor, again: Tensor) -> None:
    """Raise InputError where a model in training mode does not return the same logits twice."""
    import torch

    if not torch.allclose(logits, again, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise InputError(
            "The model is in training mode and returned other logits for the same examples a "
            "second time: a score would not repeat. Call model.eval() first."
        )


class HeadInput:
    """Keeps the input of the linear layer that was called last: the head, for `grand_last`."""

    def __init__(self, model: Module) -> None:
        from torch.nn import Linear

        self.features: Tensor | None = None
        self.bias = False
        self._output: Any = None
        self._handles = [
            module.register_forward_hook(self._keep)
            for module in model.modules()
            if isinstance(module, Linear) and type(module).forward is Linear.forward
        ]

    def _keep(self, module: Any, args: tuple[Any, ...], output: Tensor) -> None:
        self.features, self.bias = args[0].detach(), module.bias is not None
        self._output = output.detach()

    def of(self, logits: Tensor) -> Tensor:
        """Return the features [B, T, d]; raises InputError where they are not the logits'."""
        import torch

        found = self.features
        if found is None or not torch.equal(self._output.to(logits.dtype), logits.detach()):
            shape = None if found is None else tuple(found.shape)
            raise InputError(
                f"'grand_last' needs the logits {tuple(logits.shape)} to come straight from the "
                f"last linear layer (whose input here is {shape}); they are not what it returned. "
                "Ask for 'grand' instead."
            )
        values = found if found.element_size() >= 4 else found.float()
        return values.reshape(len(values), -1, values.shape[-1])

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()


def fast_layout(inputs: Any) -> Any:
    """Return images [B, C, H, W] channels last, which convolutions without gradients prefer."""
    import torch

    return map_tensors(
        lambda v: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v, inputs
    )


def pick_device(name: str) -> torch.device:
    """Return the device `name`, or say that it is not there."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Device '{name}' cannot be used here: {str(error).splitlines()[0]}. Use 'cpu', or a "
            "machine that has it."
        ) from error
    return device


def autocast_for(model: Module, dtype: str) -> AbstractContextManager[Any]:
    """Return bfloat16 autocast on the model's device, or nothing for other dtypes."""
    import torch

    if dtype != "bfloat16":
        return nullcontext()
    device = next(model.parameters()).device.type
    return torch.autocast(device, torch.bfloat16)
