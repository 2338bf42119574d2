"""Notes: what the user must know travels inside the result, not in a warning that scrolls away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Note:
    """One thing to know about a result.

    `code` is stable and machine-readable, `message` says what was found and what to do.
    `severity` is "info" (how it was made), "warning" (read the result with care) or "error"
    (do not use the result as it stands; the command line then exits with 3).
    """

    code: str
    severity: Severity
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the note as a JSON-ready dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.severity}: {self.message} [{self.code}]"


def worst(notes: Iterable[Note]) -> Severity | None:
    """Return the highest severity among `notes`, or None where there are none."""
    order: tuple[Severity, ...] = ("error", "warning", "info")
    present = {note.severity for note in notes}
    return next((severity for severity in order if severity in present), None)


def format_notes(notes: Iterable[Note]) -> str:
    """Return the notes as text, gravest first, one a line; empty text for none."""
    rank = {"error": 0, "warning": 1, "info": 2}
    return "\n".join(str(note) for note in sorted(notes, key=lambda note: rank[note.severity]))
