"""The tape: every use of a parameter in one forward pass, and what the backward pass makes of it.

One forward and one backward to the activations give each example's exact gradient norm. A
parameter that is used in a way without a rule receives an ordinary gradient, which is how the
tape knows that it was not counted; nothing is left out in silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scalekit.errors import InputError
from scalekit.selectors.scores.projector import Projector
from scalekit.selectors.scores.rules import rules
from scalekit.selectors.scores.uses import Part, Use, combined_norm2, combined_sketch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass
class Collected:
    """What one backward pass found, each value for each example of the batch.

    `norms2` is keyed by parameter; `dots` holds the products with the given directions, by the
    direction's name; `sketch` is [B, width**2].
    """

    norms2: dict[str, Tensor] = field(default_factory=dict)
    dots: dict[str, Tensor] = field(default_factory=dict)
    sketch: Tensor | None = None

    def total(self) -> Tensor:
        """Return the squared norm over all parameters [B]."""
        from functools import reduce

        if not self.norms2:
            raise InputError("No parameter that requires a gradient takes part in the output.")
        return reduce(lambda left, right: left + right, self.norms2.values())


class Tape:
    """Intercepts the uses of a model's parameters during one forward pass at a time.

    `exclude` names parameters that are left to a loop over examples. `directions` maps a name to
    one tensor a parameter. Layouts (where the batch axis of a use is) are decided at the first
    forward and must hold in later ones.
    """

    def __init__(
        self,
        model: Module,
        exclude: Iterable[str] = (),
        directions: Mapping[str, Mapping[str, Tensor]] | None = None,
        projector: Projector | None = None,
    ) -> None:
        left = set(exclude)
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and n not in left]
        self._names = {id(parameter): name for name, parameter in named}
        self.directions, self.projector = directions or {}, projector
        self.n = 0
        self._layouts: dict[tuple[str, int], str | None] = {}
        self._seen: dict[str, int] = defaultdict(int)
        self._uses: dict[tuple[str, Part], list[Use]] = {}
        self._found: Collected | None = None

    def forward(self, call: Callable[[], Any], n: int) -> Any:
        """Return `call()`, a forward pass over `n` examples, with its uses on tape."""
        from torch.overrides import TorchFunctionMode

        self.n, self._uses = n, defaultdict(list)
        self._seen.clear()
        intercept = self._intercept

        class Intercept(TorchFunctionMode):
            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                return intercept(func, args, kwargs or {})

        with Intercept():
            return call()

    def backward(self, value: Tensor, retain_graph: bool = False) -> Collected:
        """Run the backward pass of `value` (a sum over examples) and return what was found."""
        found = self._found = Collected()
        for uses in self._uses.values():
            for use in uses:
                use.grad = None
        try:
            value.backward(retain_graph=retain_graph)
        finally:
            self._found = None
        for uses in self._uses.values():  # uses that the output does not depend on
            arrived = [use for use in uses if use.grad is not None]
            if arrived:
                self._count(arrived, found)
        if not retain_graph:
            self._uses = {}
        return found

    def owns(self, value: Any) -> bool:
        """Whether `value` is a parameter to be counted."""
        return id(value) in self._names

    def name(self, parameter: Any) -> str:
        """Return the name of an owned parameter."""
        return self._names[id(parameter)]

    def detached(self, value: Any) -> Any:
        """Return `value`, outside the graph where it is owned."""
        return value.detach() if self.owns(value) else value

    def layout(
        self, parameters: Iterable[Any], shape: Sequence[int], positions: bool = False
    ) -> str | None:
        """Return where the batch axis of this use is: "first", "second", "flat", "shared", None.

        "flat" means that examples lie one after the other along the first axis, "shared" that the
        use has no batch axis and may be repeated (`positions`). None: unknown.
        """
        name = next(self.name(parameter) for parameter in parameters if self.owns(parameter))
        key = (name, self._seen[name])
        self._seen[name] += 1
        if key not in self._layouts:
            self._layouts[key] = guess_layout(shape, self.n, positions)
        known = self._layouts[key]
        if not fits(known, shape, self.n):
            raise InputError(
                f"Parameter '{name}' met an input of shape {tuple(shape)} in a batch of "
                f"{self.n}, which has no batch axis where earlier batches had it ({known}). "
                f"Count it by a loop over examples: loop_params=['{name}']."
            )
        return known

    def batch_first(self, values: Tensor, layout: str) -> Tensor:
        """Return `values` with the batch axis first."""
        if layout == "second":
            return values.transpose(0, 1)
        if layout == "flat":
            return values.reshape(self.n, -1, *values.shape[1:])
        return values

    def record(self, y: Tensor, uses: list[Any], layout: str) -> Tensor:
        """Put `uses`, whose output is y, on tape; return the tensor to go on with."""
        for use in uses:
            self._uses[use.name, use.part].append(use)
        if not uses:
            return y
        if not y.requires_grad:  # the first layers: no gradient reaches further back
            y = y.requires_grad_().clone()

        def arrive(g: Tensor) -> None:
            if self._found is None:
                return
            first = self.batch_first(g.detach(), layout)
            for use in uses:
                use.receive(first)
                siblings = self._uses[use.name, use.part]
                if all(sibling.grad is not None for sibling in siblings):
                    self._count(siblings, self._found)

        y.register_hook(arrive)
        return y

    def _intercept(self, func: Any, args: Any, kwargs: Any) -> Any:
        import torch

        rule = rules().get(func)
        used = rule is not None and torch.is_grad_enabled()
        if used and any(self.owns(value) for value in (*args, *kwargs.values())):
            y = rule(self, *args, **kwargs)  # type: ignore[misc]
            if y is not NotImplemented:
                return y
        return func(*args, **kwargs)

    def _count(self, uses: list[Use], found: Collected) -> None:
        name = uses[0].name
        norm2 = uses[0].norm2() if len(uses) == 1 else combined_norm2(uses)
        found.norms2[name] = found.norms2[name] + norm2 if name in found.norms2 else norm2
        for use in uses:
            for key, direction in self.directions.items():
                dot = use.dot(direction[name])
                found.dots[key] = found.dots[key] + dot if key in found.dots else dot
        if self.projector is not None:
            sketch = combined_sketch(uses, self.projector)
            found.sketch = sketch if found.sketch is None else found.sketch + sketch
        for use in uses:
            use.grad = None


def guess_layout(shape: Sequence[int], n: int, positions: bool) -> str | None:
    """Return where the batch axis of `n` examples is in `shape`; see `Tape.layout`."""
    if not shape:
        return None
    if shape[0] == n:
        return "first"
    if positions:
        if len(shape) == 1 or (len(shape) == 2 and shape[0] == 1):
            return "shared"
        return "second" if len(shape) == 2 and shape[1] == n else None
    if len(shape) >= 3 and shape[1] == n:
        return "second"
    return "flat" if len(shape) >= 2 and shape[0] % n == 0 else None


def fits(layout: str | None, shape: Sequence[int], n: int) -> bool:
    """Whether `shape` can have the batch axis where `layout` says."""
    if layout == "first":
        return shape[0] == n
    if layout == "second":
        return len(shape) > 1 and shape[1] == n
    return shape[0] % n == 0 if layout == "flat" else True
