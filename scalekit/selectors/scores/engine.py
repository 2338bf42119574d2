"""The engine: a model and a list of scores in, one column a score out, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import InputError
from scalekit.selectors.scores.batch import Batch, Visitor, check_columns, finite
from scalekit.selectors.scores.checkpoints import Checkpoint, load_state
from scalekit.selectors.scores.gradient_sum import GradientSum
from scalekit.selectors.scores.inputs import (
    HeadInput,
    as_tensor,
    autocast_for,
    call_model,
    check_mode,
    check_repeat,
    fast_layout,
    pick_device,
    to_device,
)
from scalekit.selectors.scores.outputs import IGNORED, OUTPUT_SCORES, Predictions
from scalekit.selectors.scores.passes import GradientPass
from scalekit.selectors.scores.plan import SKETCHES, Plan
from scalekit.selectors.scores.projector import Projector
from scalekit.selectors.scores.tape import Collected
from scalekit.selectors.scores.vog import InputGradients

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

DTYPES = ("float32", "bfloat16", "float64")


@dataclass
class Engine:
    """Scores batches by one model at one or several checkpoints.

    `learning_rates` weigh the checkpoints in the TracIn scores (1 by default). `reference` calls
    a function on each batch of the reference set (or of the data itself, for `alignment`), and a
    second one on single examples to find bad ones.
    """

    model: Module
    plan: Plan
    checkpoints: Sequence[Checkpoint] = ()
    learning_rates: Sequence[float] = ()
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0
    sketch_width: int = 32
    loop_params: Sequence[str] = ()
    per_layer: bool = False
    check: bool = True
    reference: Callable[[Visitor, Visitor], None] | None = None
    reference_is_data: bool = False
    looped: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        import torch

        if self.dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join(DTYPES)}; got '{self.dtype}'.")
        check_mode(self.model)
        self._device = pick_device(self.device)
        self._real = torch.float64 if self.dtype == "float64" else torch.float32
        self.model.to(self._device)
        if self.dtype == "float64":
            self.model.double()
        self._passes: dict[int, GradientPass] = {}
        self._means: dict[int, tuple[dict[str, Tensor], int]] = {}
        self._at: int | None = None
        self._repeats = False

    @property
    def n_checkpoints(self) -> int:
        """Number of checkpoints; a model without a list of them is one."""
        return max(1, len(self.checkpoints))

    def use_checkpoint(self, index: int) -> None:
        """Load checkpoint `index` into the model, where it is not there already."""
        if self.checkpoints and self._at != index:
            load_state(self.model, self.checkpoints[index])
            self._at = index

    def prepare(self, index: int) -> None:
        """Load checkpoint `index`, and take the mean gradient there where a score needs it."""
        self.use_checkpoint(index)
        if not self.plan.directed or index in self._means:
            return
        total = GradientSum(self.model, self.dtype)

        def add(batch: Batch) -> None:
            total.add(self.gradients(total, batch), len(batch))

        assert self.reference is not None
        self.reference(add, lambda one: self.gradients(total, one))
        self._means[index] = total.mean(), total.count

    def gradients(self, total: GradientSum, batch: Batch) -> dict[str, Tensor]:
        """Return the gradient of the summed loss of `batch`, which `total` does not add yet."""
        inputs, labels = self.ready(batch)
        return total.gradients(self.predictions(total.logits(inputs), labels, batch))

    def forget(self) -> None:
        """Forget what was learned of the model's uses from a batch that failed."""
        self._passes.clear()

    def predictions(self, logits: Tensor, labels: Tensor, batch: Batch) -> Predictions:
        """Return logits with labels; raises InputError where they are not to be scored."""
        at = Predictions(finite(logits, batch), labels)
        if not bool(at.valid.all()) and not bool(at.valid.any(1).all()):
            raise InputError(
                f"The label is {IGNORED}{' at every token' if labels.dim() > 1 else ''}, which "
                "marks what does not count, so there is nothing to score. Give a label, 0 to "
                f"{at.n_classes - 1}."
            )
        return at

    def ready(self, batch: Batch) -> tuple[Any, Tensor]:
        """Return inputs and labels of `batch` on the device."""
        inputs = to_device(batch.inputs, self._device, self._real)
        kind = getattr(getattr(batch.labels, "dtype", None), "kind", "i")
        if kind in "OUSmM":
            raise InputError(
                f"Labels are not numbers but of type {batch.labels.dtype}, such as "
                f"{batch.labels.reshape(-1)[0]!r}; the model's classes are 0..C-1. Replace each "
                "by its number, in the order in which the model was trained."
            )
        labels = as_tensor(batch.labels).to(self._device)
        if labels.is_floating_point():
            raise InputError(
                f"Labels are real numbers ({labels.dtype}); scores are for classification, so "
                "labels must be integers 0..C-1."
            )
        return inputs, labels.long()

    def score(self, batch: Batch, index: int = 0,
              vog: InputGradients | None = None) -> dict[str, np.ndarray]:  # fmt: skip
        """Return the columns of `batch` at checkpoint `index`, each [B] (sketches [B, d])."""
        import torch

        self.prepare(index)
        inputs, labels = self.ready(batch)
        head = HeadInput(self.model) if self.plan.wants_head else None
        try:
            if self.plan.is_forward_only:
                with torch.no_grad(), autocast_for(self.model, self.dtype):
                    logits = call_model(self.model, fast_layout(inputs))
                    if self.model.training and not self._repeats:
                        check_repeat(logits, call_model(self.model, fast_layout(inputs)))
                        self._repeats = True
                columns = self._outputs(self.predictions(logits, labels, batch), head)
            else:
                columns = self._with_gradients(inputs, labels, batch, index, head, vog)
        finally:
            if head is not None:
                head.remove()
        found = {name: as_numpy(values) for name, values in columns.items()}
        check_columns(found, batch)
        return found

    def _outputs(self, at: Predictions, head: HeadInput | None) -> dict[str, Tensor]:
        columns = {
            name: OUTPUT_SCORES[name](at) for name in self.plan.columns if name in OUTPUT_SCORES
        }
        if head is not None:
            columns["grand_last"] = last_layer_norm(at, head)
        return columns

    def _with_gradients(
        self, inputs: Any, labels: Tensor, batch: Batch, index: int,
        head: HeadInput | None, vog: InputGradients | None,
    ) -> dict[str, Tensor]:  # fmt: skip
        import torch

        one_pass = self._pass(index)
        if vog is not None:
            inputs = vog.prepare(inputs)
        if self.plan.objectives:
            logits = one_pass.forward(inputs, len(batch))
        else:
            with torch.enable_grad(), autocast_for(self.model, self.dtype):
                logits = call_model(self.model, inputs)
        at = self.predictions(logits, labels, batch)
        columns = self._outputs(at, head)
        if head is not None:
            head.remove()
        if vog is not None:
            vog.take(at, inputs)
        if self.plan.objectives:
            draws = uniforms(batch.rows, self.seed, index).to(self._device)
            found = one_pass.run(inputs, labels, draws, logits)
            self.looped = one_pass.looped
            columns |= self._gradient_columns(found, index)
        return columns

    def _pass(self, index: int) -> GradientPass:
        if index not in self._passes:
            directions = {}
            if self.plan.directed:
                directions = {"reference": self._means[index][0]}
            wants_sketch = any(name in self.plan.columns for name in SKETCHES)
            self._passes[index] = GradientPass(
                self.model,
                self.plan.objectives,
                directions,
                Projector(self.sketch_width, self.seed * 1000 + index) if wants_sketch else None,
                self.looped or self.loop_params,
                self.dtype,
                self.check and index == 0,
            )
        return self._passes[index]

    def _gradient_columns(self, found: dict[str, Collected], index: int) -> dict[str, Tensor]:
        columns: dict[str, Tensor] = {}
        asked = set(self.plan.columns)
        rate = self.learning_rates[index] if len(self.learning_rates) else 1.0
        if "loss" in found:
            norm2 = found["loss"].total()
            columns |= {"grand": norm2.sqrt(), "tracin_self": rate * norm2}
            if self.per_layer:
                named = found["loss"].norms2.items()
                columns |= {f"grand:{name}": value.sqrt() for name, value in named}
            if self.plan.directed:
                dots = found["loss"].dots["reference"]
                columns |= {"tracin_to_set": rate * dots,
                            "alignment": self._cosine(dots, norm2, index)}  # fmt: skip
            if "sketch" in asked:
                assert found["loss"].sketch is not None
                columns["sketch"] = found["loss"].sketch * rate**0.5
        if "phi" in found:
            columns["lpntk_self"] = found["phi"].total()
            if "sketch_lpntk" in asked:
                assert found["phi"].sketch is not None
                columns["sketch_lpntk"] = found["phi"].sketch
        if "sampled" in found:
            columns["fisher_trace"] = found["sampled"].total()
        return {k: v for k, v in columns.items() if k in asked or k.startswith("grand:")}

    def _cosine(self, dots: Tensor, norm2: Tensor, index: int) -> Tensor:
        """Return the cosine with the mean gradient (of the others, within the data itself)."""
        mean, n = self._means[index]
        whole = sum((value * value).sum() for value in mean.values())
        if self.reference_is_data:
            if n < 2:
                raise InputError("'alignment' needs at least two examples, or a reference set.")
            rest = (n * n * whole - 2 * n * dots + norm2).clamp_min(0) / (n - 1) ** 2
            dots, whole = (n * dots - norm2) / (n - 1), rest
        return dots / (norm2 * whole).sqrt().clamp_min(1e-30)


def last_layer_norm(at: Predictions, head: HeadInput) -> Tensor:
    """Return the gradient norm of the last linear layer, in closed form [B]."""
    from scalekit.selectors.scores.uses import MatrixUse

    features = head.of(at.logits)
    g = at.error * at.valid[..., None] / at.counts[:, None, None]
    use = MatrixUse("head", features)
    use.grad = g.to(features.dtype)
    norm2 = use.norm2()
    return (norm2 + g.sum(1).pow(2).sum(-1)).sqrt() if head.bias else norm2.sqrt()


def uniforms(rows: np.ndarray, seed: int, index: int) -> Tensor:
    """Return one uniform number a row [B, 1], whatever the batch: splitmix64 of row and seed."""
    import torch

    with np.errstate(over="ignore"):
        step = np.uint64(0x9E3779B97F4A7C15)
        x = rows.astype(np.uint64) * step + np.uint64((seed * 1_000_003 + index + 1) % 2**64) * step
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return torch.from_numpy((x >> np.uint64(11)).astype(np.float64) / 2**53)[:, None]


def as_numpy(values: Tensor) -> np.ndarray:
    """Return `values` on the host."""
    found: np.ndarray = values.detach().cpu().numpy()
    return found
