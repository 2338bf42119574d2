"""What the log readers share: the rows they found, and what a run's name says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pandas as pd

from scalekit.notes import Note

SEED = re.compile(r"[-_./ ]?seed[-_=]?(?P<seed>\d+)(?=$|[-_./ ])", re.IGNORECASE)
STEP = re.compile(
    r"[-_./ ]?(?:step|checkpoint|ckpt)[-_=]?(?P<step>\d+)(?=$|[-_./ ])", re.IGNORECASE
)
# what a part without these roles has where another part of the log has them
ABSENT: dict[str, Any] = {"item": "all", "cluster": "all", "seed": 0, "step": 0, "sample": 0}
MIXED = 0  # one file says higher is better, another says lower


@dataclass
class LogRows:
    """Rows with role names as columns, where they came from, and what the log itself declares."""

    rows: pd.DataFrame
    source: str
    notes: list[Note] = field(default_factory=list)
    chance: dict[str, float] = field(default_factory=dict)
    direction: dict[str, int] = field(default_factory=dict)

    def with_notes(self, *notes: Note) -> LogRows:
        """Return the same rows with these notes too."""
        return replace(self, notes=[*self.notes, *notes])

    @classmethod
    def join(cls, parts: list[LogRows]) -> LogRows:
        """Return the parts as one; a direction that they disagree about is MIXED."""
        direction: dict[str, int] = {}
        chance: dict[str, float] = {}
        notes: list[Note] = []
        for part in parts:
            for name, sign in part.direction.items():
                same = direction.setdefault(name, sign) == sign
                direction[name] = sign if same else MIXED
            chance |= part.chance
            notes += [note for note in part.notes if note not in notes]
        sources = list(dict.fromkeys(part.source for part in parts))
        shown = ", ".join(sources[:3]) + (
            f", ... ({len(sources)} in all)" if len(sources) > 3 else ""
        )
        present = {role for part in parts for role in part.rows.columns}
        filled = [
            part.rows.assign(**{k: v for k, v in ABSENT.items() if k in present - {*part.rows}})
            for part in parts
        ]
        rows = pd.concat(filled, ignore_index=True)
        return cls(rows, shown, notes, chance, direction)


class RunName(NamedTuple):
    """A run's name taken apart."""

    recipe: str
    seed: int | None
    step: int | None


def split_run_name(name: str) -> RunName:
    """Return recipe, seed and step of a run's name; None for what the name does not say.

    >>> split_run_name("baseline-1B-seed3-step2000")
    RunName(recipe='baseline-1B', seed=3, step=2000)
    """
    seed, step = SEED.search(name), STEP.search(name)
    recipe = STEP.sub("", SEED.sub("", name)).strip("-_./ ")
    return RunName(
        recipe or name,
        int(seed["seed"]) if seed else None,
        int(step["step"]) if step else None,
    )
