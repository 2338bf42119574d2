"""The plan: which passes the requested scores need, and what they cost, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scalekit.errors import InputError
from scalekit.selectors.scores.catalogue import VECTORS, computed_in_a_pass

# objective of the backward pass -> the scores that it serves
OBJECTIVES = {
    "loss": ("grand", "tracin_self", "tracin_to_set", "alignment", "sketch"),
    "phi": ("lpntk_self", "sketch_lpntk"),
    "sampled": ("fisher_trace",),
}
DIRECTED = ("tracin_to_set", "alignment")
INPUT_SCORES = ("vog", "vog_paper")
SKETCHES = ("sketch", "sketch_lpntk")
# parts of one forward+backward, as measured on transformers and ResNets (benchmarks/grand.py)
FORWARD, BACKWARD, NORMS, SKETCH, DOT = 1 / 3, 1 / 3, 0.25, 0.3, 0.3


@dataclass(frozen=True)
class Plan:
    """What one pass over the data does; `cost` is in units of one forward+backward."""

    columns: tuple[str, ...]
    objectives: tuple[str, ...]
    wants_head: bool
    wants_inputs: bool
    directed: tuple[str, ...]
    has_reference: bool = False
    n_checkpoints: int = 1

    @property
    def steps(self) -> list[tuple[str, float]]:
        """The passes and the cost of each, for one checkpoint."""
        found = [("forward", FORWARD)]
        for objective in self.objectives:
            found.append((f"backward to activations ({objective})", BACKWARD))
            found.append(("ghost norms", NORMS))
        sketches = sum(name in self.columns for name in SKETCHES)
        found += [("sketch", SKETCH)] * sketches
        if self.directed:
            found.append(("products with a direction", DOT))
        if self.directed and not self.has_reference:
            found.append(("mean gradient", 1.0))
        found += [("backward to the input", BACKWARD)] * self.wants_inputs
        return found

    @property
    def cost(self) -> float:
        """Cost of scoring one example at all checkpoints, in forward+backward passes."""
        return self.n_checkpoints * sum(cost for _, cost in self.steps)

    @property
    def is_forward_only(self) -> bool:
        """Whether no gradient is needed."""
        return not self.objectives and not self.wants_inputs

    def describe(self, n: int | None = None, seconds: float | None = None,
                 memory: int | None = None) -> str:  # fmt: skip
        """Return the plan as text: passes, cost, and time and memory where they were measured.

        `seconds` is the time of one example, `memory` the bytes of a batch beside the model.
        """
        passes = " + ".join(name for name, _ in self.steps)
        many = f" at each of {self.n_checkpoints} checkpoints" if self.n_checkpoints > 1 else ""
        text = [f"plan: {', '.join(self.columns)}",
                f"      {passes}{many}: about {self.cost:.2f} x one forward+backward"]  # fmt: skip
        if seconds is not None:
            many = "a stream, for each 1,000" if n is None else f"{n:,}"
            whole = clock(seconds * (1000 if n is None else n))
            text.append(f"      {many} examples, about {whole}")
        if self.directed and self.has_reference:
            text.append("      and one forward+backward of each example of the reference set")
        if memory is not None:
            size = f"about {memory / 2**20:,.0f}" if memory >= 2**20 else "less than 1"
            text.append(f"      {size} MiB beside the model at this batch size")
        return "\n".join(text)


def compile_plan(names: Iterable[str], n_checkpoints: int = 1, has_reference: bool = False) -> Plan:
    """Return the plan that computes the scores `names` in one pass.

    Raises InputError where a score needs what is not there: several checkpoints (vog), a
    reference set (tracin_to_set), recorded dynamics or several models.

    >>> compile_plan(["el2n", "grand"]).objectives
    ('loss',)
    """
    columns = []
    for entry in computed_in_a_pass(names):
        column = VECTORS.get(entry.name, entry.name)
        if column not in columns:
            columns.append(column)
    needed = [name for name in columns if name in INPUT_SCORES]
    if needed and n_checkpoints < 2:
        raise InputError(
            f"'{needed[0]}' is a variance over checkpoints and needs at least two; give "
            "checkpoints=[...] (--checkpoints)."
        )
    if "tracin_to_set" in columns and not has_reference:
        raise InputError("'tracin_to_set' needs the set: give reference=... (--reference).")
    return Plan(
        columns=tuple(columns),
        objectives=tuple(
            objective for objective, served in OBJECTIVES.items() if set(served) & set(columns)
        ),
        wants_head="grand_last" in columns,
        wants_inputs=bool(needed),
        directed=tuple(name for name in DIRECTED if name in columns),
        has_reference=has_reference,
        n_checkpoints=n_checkpoints,
    )


def clock(seconds: float) -> str:
    """Return a duration in words.

    >>> clock(95)
    '1.6 min'
    """
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.2g} h"
