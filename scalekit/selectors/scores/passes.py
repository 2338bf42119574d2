"""One pass over a batch: forward once, then the backward passes that the scores ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from scalekit.errors import ScalekitError
from scalekit.selectors.scores.inputs import autocast_for, call_model, take
from scalekit.selectors.scores.outputs import Predictions
from scalekit.selectors.scores.projector import Projector
from scalekit.selectors.scores.tape import Collected, Tape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, Parameter

CHECKPOINTED = (
    "This model runs parts of its forward pass again in the backward pass (gradient "
    "checkpointing), where uses of parameters are not seen. Switch it off for scoring; in Hugging "
    "Face models by model.gradient_checkpointing_disable()."
)
TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 6e-2}


class CheckError(ScalekitError, RuntimeError):
    """Per-example gradient norms do not agree with plain autograd on this model."""


@dataclass(frozen=True)
class Objective:
    """What is differentiated: "loss", "phi" (lpNTK) or "sampled" (a label drawn from p)."""

    name: str

    def __call__(self, at: Predictions, draws: Tensor) -> Tensor:
        """Return one value for each example [B], inside the graph."""
        if self.name == "loss":
            return at.losses()
        if self.name == "sampled":
            return sampled_losses(at, draws)
        logits = at.logits.reshape(at.n, -1, at.n_classes)
        logits = logits if logits.element_size() >= 4 else logits.float()
        signed = 2 * at.at_label(logits) - logits.sum(-1)
        return at.mean(signed) / at.n_classes**0.5


def sampled_losses(at: Predictions, draws: Tensor) -> Tensor:
    """Return the loss with labels drawn from the model's own p, by uniform `draws` [B, 1]."""
    reach = at.p.cumsum(-1)
    labels = (reach < draws.to(reach.dtype)[..., None]).sum(-1).clamp_max(at.n_classes - 1)
    labels = labels.where(at.valid, -100)
    shape = at.logits.shape[:-1]
    return Predictions(at.logits, labels.reshape(shape)).losses()


class GradientPass:
    """Exact per-example gradient norms, products and sketches of a model.

    The model's gradients are left as they were. Parameters without a rule are found at the first
    batch and counted by a loop over examples, which `looped` names.
    """

    def __init__(
        self,
        model: Module,
        objectives: Iterable[str] = ("loss",),
        directions: Mapping[str, Mapping[str, Tensor]] | None = None,
        projector: Projector | None = None,
        loop_params: Iterable[str] = (),
        dtype: str = "float32",
        check: bool = True,
    ) -> None:
        self.model, self.dtype = model, dtype
        self.objectives = [Objective(name) for name in objectives]
        self.directions, self.projector = dict(directions or {}), projector
        self.looped = tuple(loop_params)
        self._unchecked = check
        self._settled = False
        self._tape = self._new_tape()

    def _new_tape(self) -> Tape:
        return Tape(self.model, self.looped, self.directions, self.projector)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of the forward pass: bfloat16 autocast, or nothing."""
        return autocast_for(self.model, self.dtype)

    def forward(self, inputs: Any, n: int) -> Tensor:
        """Return the logits, with every use of a parameter on tape."""
        import torch

        with torch.enable_grad(), self.autocast(), self._only_taped():
            logits: Tensor = self._tape.forward(lambda: call_model(self.model, inputs), n)
        return logits

    def run(
        self, inputs: Any, labels: Tensor, draws: Tensor, logits: Tensor | None = None
    ) -> dict[str, Collected]:
        """Return what each objective's backward pass found; `logits` from `forward`, if at hand."""
        from torch.utils.checkpoint import CheckpointError

        n = len(labels)
        logits = self.forward(inputs, n) if logits is None else logits
        found = {}
        with self._own_gradients() as leaked:
            for i, objective in enumerate(self.objectives):
                value = objective(Predictions(logits, labels), draws).sum()
                last = i == len(self.objectives) - 1
                if not value.requires_grad:  # every parameter is left to the loop
                    found[objective.name] = Collected()
                    continue
                try:
                    found[objective.name] = self._tape.backward(value, retain_graph=not last)
                except CheckpointError as error:
                    raise CheckError(CHECKPOINTED) from error
            missed = leaked()
        if missed:
            if set(missed) & set(self.looped):  # they are out of the graph of the forward pass
                raise CheckError(CHECKPOINTED)
            if self._settled:
                raise CheckError(
                    f"Parameters {missed[:5]} were used in a way that has no rule, which the "
                    f"first batch did not show. Count them by a loop: loop_params={missed}."
                )
            self.looped = tuple(dict.fromkeys((*self.looped, *missed)))
            self._tape = self._new_tape()
            self._settled = True
            return self.run(inputs, labels, draws)
        self._settled = True
        if self.looped:
            self._add_loop(found, inputs, labels, draws)
        if self._unchecked:
            self._unchecked = False
            self._check(found, inputs, labels, draws)
        return found

    def _only_taped(self) -> AbstractContextManager[Any]:
        return Frozen(p for name, p in self.model.named_parameters() if name in set(self.looped))

    def _own_gradients(self) -> OwnGradients:
        return OwnGradients(self.model)

    def _singles(
        self, inputs: Any, labels: Tensor, draws: Tensor, rows: Iterable[int], names: list[str]
    ) -> Iterable[tuple[int, str, dict[str, Tensor]]]:
        """Yield (row, objective, gradients) by plain autograd, one example at a time."""
        import torch

        parameters = dict(self.model.named_parameters())
        chosen = [parameters[name] for name in names]
        others = [p for name, p in parameters.items() if name not in set(names)]
        for row in rows:
            one = slice(row, row + 1)
            with torch.enable_grad(), self.autocast(), Frozen(others):
                logits = call_model(self.model, take(inputs, one))
            at = Predictions(logits, labels[one])
            for objective in self.objectives:
                value = objective(at, draws[one]).sum()
                if not value.requires_grad:
                    continue
                grads = torch.autograd.grad(value, chosen, retain_graph=True, allow_unused=True)
                pairs = zip(names, grads, strict=True)
                yield row, objective.name, {k: g for k, g in pairs if g is not None}

    def _add_loop(
        self, found: dict[str, Collected], inputs: Any, labels: Tensor, draws: Tensor
    ) -> None:
        rows, names = range(len(labels)), list(self.looped)
        for row, objective, grads in self._singles(inputs, labels, draws, rows, names):
            into = found[objective]
            for name, grad in grads.items():
                flat = grad if grad.element_size() >= 4 else grad.float()
                add_at(into.norms2, name, row, (flat * flat).sum(), len(labels))
                for key, direction in self.directions.items():
                    add_at(into.dots, key, row, (flat * direction[name]).sum(), len(labels))
                if self.projector is not None:
                    part = self.projector.scatter(f"{name}/None", flat.reshape(1, -1))
                    if into.sketch is None:
                        into.sketch = part.new_zeros(len(labels), part.shape[1])
                    into.sketch[row] += part[0]

    def _check(
        self, found: dict[str, Collected], inputs: Any, labels: Tensor, draws: Tensor
    ) -> None:
        rows = sorted({0, len(labels) - 1})
        names = [name for name, p in self.model.named_parameters() if p.requires_grad]
        tolerance = TOLERANCE[self.dtype]
        for row, objective, grads in self._singles(inputs, labels, draws, rows, names):
            expected = {name: float(precise_norm2(grad)) for name, grad in grads.items()}
            counted = {name: float(v[row]) for name, v in found[objective].norms2.items()}
            whole = sum(expected.values())
            errors = {
                name: abs(expected.get(name, 0.0) - counted.get(name, 0.0))
                for name in expected | counted
            }
            if not isfinite(whole):  # told, with the example's id, where the scores are looked at
                continue
            worst = max(errors, key=lambda name: errors[name])
            off = abs(sum(counted.values()) - whole)
            if not max(off, errors[worst]) <= tolerance * max(whole, 1e-30):  # NaN is a mismatch
                raise CheckError(
                    f"The squared gradient norm of example {row} of the first batch is "
                    f"{sum(counted.values()):.6g}, but plain autograd says {whole:.6g} "
                    f"(largest difference in '{worst}': {counted.get(worst, 0.0):.6g} against "
                    f"{expected.get(worst, 0.0):.6g}). Nothing was scored. If the model mixes "
                    "examples of a batch, it has no per-example gradients; otherwise count this "
                    f"parameter by a loop over examples: loop_params=['{worst}']."
                )


class Frozen:
    """Takes `requires_grad` from some parameters for a while."""

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]

    def __enter__(self) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(True)


class OwnGradients:
    """Puts the gradients of a model aside for a while; tells which parameters received one."""

    def __init__(self, model: Module) -> None:
        self._named = list(model.named_parameters())

    def __enter__(self) -> Any:
        self._kept = [parameter.grad for _, parameter in self._named]
        for _, parameter in self._named:
            parameter.grad = None
        return lambda: [name for name, parameter in self._named if parameter.grad is not None]

    def __exit__(self, *_: object) -> None:
        for (_name, parameter), grad in zip(self._named, self._kept, strict=True):
            parameter.grad = grad


def add_at(values: dict[str, Tensor], key: str, row: int, value: Tensor, n: int) -> None:
    """Add `value` to element `row` of `values[key]`, which starts as zeros."""
    if key not in values:
        values[key] = value.new_zeros(n)
    values[key][row] += value.detach()


def precise_norm2(grad: Tensor) -> Tensor:
    """Return the squared norm of `grad`, summed in at least float32."""
    values = grad if grad.element_size() >= 4 else grad.float()
    return (values * values).sum()
