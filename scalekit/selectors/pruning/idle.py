"""What a user says of a pruning and what has no effect there, or goes against what is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalekit.notes import Note
from scalekit.selectors.pruning.tables import POINTING, known_direction

CUTTING = ("window", "stratified")  # the sides that drop a hardest share first


def idle_notes(side: str, asked: str, cutoff: float, **evidence: Any) -> list[Note]:
    """Return warnings of a cutoff, and of evidence for the automatic side, that nothing uses."""
    notes = []
    if cutoff and side not in CUTTING:
        notes.append(
            Note("cutoff_unused", "warning", f"The side '{side}' drops no hardest share: "
                 f"cutoff={cutoff:g} (--cutoff) has no effect. It acts with the sides "
                 f"{' and '.join(CUTTING)}.")
        )  # fmt: skip
    given = [f"{name}=" for name, value in evidence.items() if value is not None]
    if given and asked != "auto":
        notes.append(
            Note("evidence_unused", "warning", f"The side is '{asked}' as asked: nothing uses "
                 f"{' and '.join(given)}, there for side='auto' (--side auto).")
        )  # fmt: skip
    return notes


def quota_notes(
    quotas: Mapping[Any, int] | None, balance: str | None, count: int, kept: int
) -> list[Note]:
    """Return a warning where quotas set another number than the share to keep, or a balance."""
    if quotas is None or (kept == count and not balance):
        return []
    over = f"not the {count} of keep=" if kept != count else "not balance="
    return [
        Note("quotas_decide", "warning", f"The quotas add up to {kept} examples, {over}: quotas= "
             "(--quota) decides how many stay, and a class without one keeps none.")
    ]  # fmt: skip


def direction_notes(name: str, points: str) -> list[Note]:
    """Return a warning where the direction said of a score is not the one that is known of it."""
    known = known_direction(name)
    if known not in POINTING or points == known:
        return []
    return [
        Note("direction_against", "warning", f"A large '{name}' is {known} by the catalogue of "
             f"scores; it is taken as {points}, as higher_is='{points}' (--higher-is) says.")
    ]  # fmt: skip
