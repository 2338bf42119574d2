"""Weights of a model: read without running anything, hashed, loaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalekit.errors import InputError

if TYPE_CHECKING:
    from torch.nn import Module

Checkpoint = str | Path | Mapping[str, Any]


def read_state(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Return the state dict of `checkpoint`: a mapping, a .safetensors file or torch weights.

    A pickle that holds anything but weights is never loaded: raises InputError.
    """
    if isinstance(checkpoint, Mapping):
        return checkpoint
    path = Path(checkpoint)
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}. Give a file of weights.")
    if path.suffix == ".safetensors":
        from scalekit.errors import require

        load_file = require("safetensors.torch", "hf", "Reading .safetensors").load_file
        try:
            return dict(load_file(str(path)))
        except Exception as error:
            raise InputError(
                f"{path} cannot be read as safetensors: {error}. Write it again with "
                "safetensors.torch.save_file(model.state_dict(), path)."
            ) from error
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0].split(". ")[0][:150].rstrip(".")
        raise InputError(
            f"{path} is not a file of weights that can be read without running code: {reason}. "
            "A pickle can run anything when it is loaded, so "
            "it was not. Save weights with torch.save(model.state_dict(), path) or safetensors."
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):  # Lightning and hand-made checkpoints
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            return dict(state[key])
    if not isinstance(state, Mapping):
        raise InputError(f"{path} holds a {type(state).__name__}, not a state dict of weights.")
    return state


def load_state(model: Module, checkpoint: Checkpoint) -> None:
    """Load `checkpoint` into the model; every name and shape must fit."""
    plain = getattr(model, "_orig_mod", model)  # a compiled model's names have a prefix
    try:
        plain.load_state_dict(dict(read_state(checkpoint)))
    except RuntimeError as error:
        where = "The state dict" if isinstance(checkpoint, Mapping) else f"Checkpoint {checkpoint}"
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{where} does not fit the model: {reason}") from error


@contextmanager
def unchanged(model: Any, weights: bool) -> Iterator[None]:
    """Give a model back on its device and in its dtype; `weights`: with its values, too."""
    from torch.nn import Module

    modules = list(model.modules()) if isinstance(model, Module) else []
    places: list[dict[str, Any]] = [
        held for module in modules for held in (module._parameters, module._buffers)
    ]
    kept = [
        (held, name, value, value.detach().clone() if weights else value.data)
        for held in places for name, value in held.items() if value is not None
    ]  # fmt: skip
    try:
        yield
    finally:
        for held, name, value, data in kept:
            value.data = data
            held[name] = value


def hash_model(model: Module, code: Path | None, weights: bool) -> str:
    """Return a short hash of a model: its layers, the file that made it, its `weights`."""
    layers = re.sub(r" at 0x[0-9a-f]+", "", str(model))  # functions show where they lie in memory
    whole = [layers.encode(), code.read_bytes() if code is not None else b""]
    if weights:
        whole.append(hash_state(model.state_dict()).encode())
    return hashlib.sha256(b"\0".join(whole)).hexdigest()[:16]


def hash_state(state: Mapping[str, Any]) -> str:
    """Return a short hash of the names, shapes, types and values of a state dict."""
    import torch

    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            whole = value.detach().cpu().contiguous()
            digest.update(f"{tuple(whole.shape)}{whole.dtype}".encode())
            if whole.numel():
                digest.update(whole.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
