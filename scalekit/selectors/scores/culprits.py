"""When a batch fails: which of its examples are to blame, and what to say where none or all are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scalekit.errors import InputError, ScalekitError

# id -> why it cannot be scored, by row
Found = dict[int, tuple[str, str]]


class BadExamplesError(InputError):
    """Some examples cannot be scored; `found` maps row -> (id, reason)."""

    def __init__(self, found: Found) -> None:
        self.found = found
        row, (name, reason) = next(iter(found.items()))
        more = f" ({len(found) - 1} more in this batch)" if len(found) > 1 else ""
        super().__init__(
            f"Example id {name} (row {row}) cannot be scored: {reason.rstrip('.')}{more}. Mend it, "
            "or leave such examples out and list them with skip_bad=True (--skip-bad)."
        )


def blame(
    rows: np.ndarray,
    names: Sequence[str],
    cause: Exception,
    attempt: Callable[[int], Any],
    about: str,
    worked_before: bool,
) -> Exception:
    """Return the error to raise where a batch of `rows` failed with `cause`.

    `attempt(k)` tries the k-th example alone. Those that fail alone are named. Where all fail in
    the same way, and none was right before (`worked_before`), the examples are not to blame: then
    the error is the cause itself, in words that say what the batch was (`about`).
    """
    found: Found = {}
    if not is_device_lost(cause):
        for at, row in enumerate(rows):
            try:
                attempt(at)
            except Exception as error:
                found[int(row)] = (names[at], reason_of(error))
    everyone = len(found) == len(rows) > 1 and len({reason for _, reason in found.values()}) == 1
    if found and (worked_before or not everyone):
        return BadExamplesError(found)
    if isinstance(cause, ScalekitError):
        return cause
    ids = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    if found:
        fails = f"All {len(rows)} examples of a batch fail in the same way (ids {ids})"
        advice = ""
    else:
        fails = f"A batch of {len(rows)} fails (ids {ids}), though none of its examples does alone"
        advice = " Score one example at a time: batch_size=1 (--batch-size 1)."
    return InputError(f"{fails}: {reason_of(cause).rstrip('.')}. {about}{advice}")


def reason_of(error: Exception) -> str:
    """Return the message of an error in one line, with its type (and cut) where it is not ours."""
    text = " ".join(str(error).split())
    if isinstance(error, ScalekitError):
        return text
    return f"{type(error).__name__}: {text[:297] + '...' if len(text) > 300 else text}"


def listed(found: Found) -> dict[str, str]:
    """Return id -> reason; an id that occurs twice is told with its row, so that none is lost."""
    told: dict[str, str] = {}
    for row, (name, reason) in sorted(found.items()):
        told[f"{name} (row {row})" if name in told else name] = reason
    return told


def describe(values: Any) -> str:
    """Return shapes and types of inputs as text.

    >>> describe({"x": np.zeros((2, 3))})
    "{'x': [2, 3] float64}"
    """
    if isinstance(values, Mapping):
        inner = ", ".join(f"{key!r}: {describe(value)}" for key, value in values.items())
        return f"{{{inner}}}"
    if isinstance(values, tuple):
        return f"({', '.join(map(describe, values))})"
    if hasattr(values, "shape"):
        kind = str(getattr(values, "dtype", "")).removeprefix("torch.")
        return f"{list(values.shape)} {kind}"
    return type(values).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on the host or on a device."""
    text = str(error)
    signs = ("out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in signs)
    )


def is_device_lost(error: BaseException) -> bool:
    """Whether the device fails at everything from now on (an assertion on a GPU)."""
    return "CUDA error" in str(error)
